//! The `standpipe` binary; everything is in `standpipe::cli`.

/// Request bodies and batches of many sizes come and go on every thread: glibc's allocator gives
/// their pages back and faults them in again each time, and grows by fragments.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    standpipe::cli::main()
}
