//! The `standpipe` binary; everything is in `standpipe::cli`.

fn main() -> std::process::ExitCode {
    standpipe::cli::main()
}
