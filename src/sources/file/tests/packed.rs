//! Compressed files.

use flate2::write::GzEncoder;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Compresses a file as `gzip --keep` does.
pub fn gzip_file(from: &Path) {
    let mut to = from.as_os_str().to_owned();
    to.push(".gz");
    let modified = fs::metadata(from).unwrap().modified().unwrap();
    fs::write(&to, gzip(&fs::read(from).unwrap())).unwrap();
    File::options().append(true).open(&to).unwrap().set_modified(modified).unwrap();
}

impl Bed {
    /// Compresses a file as `gzip` does: with its times, and the file is gone.
    pub fn gzip(&self, name: &str) {
        gzip_file(&self.path(name));
        fs::remove_file(self.path(name)).unwrap();
    }

    fn write_old(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        self.age(name);
    }

    /// Whether everything in a file is in the journal.
    fn is_shipped(&self, name: &str) -> bool {
        let shipped = crate::sources::file::is_shipped(&self.positions(), &self.path(name));
        shipped.unwrap().is_complete()
    }

    /// Waits until something that comes after everything else has come.
    async fn sentinel(&self) {
        let already = self.records().len();
        self.append("sentinel.log", "sentinel\n");
        self.wait_for(already + 1).await;
    }

    fn without_sentinels(&self) -> Vec<String> {
        let mut records = self.sorted();
        records.retain(|record| record != "sentinel");
        records
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_files_are_read_once() {
    let mut bed = Bed::new(&["*"]);
    let two = [gzip(numbered(0, 500).as_bytes()), gzip(numbered(500, 1_000).as_bytes())].concat();
    bed.write_old("a.gz", &two);
    let text = numbered(1_000, 2_000) + "no newline";
    bed.write_old("b.zst", &zstd::stream::encode_all(text.as_bytes(), 1).unwrap());
    bed.start();
    bed.wait_for(2_001).await;
    bed.until_open(0).await;
    let expected: Vec<_> = lines(0, 2_000).into_iter().chain(["no newline".to_owned()]).collect();
    assert_eq!(bed.sorted(), expected);
    for name in ["a.gz", "b.zst"] {
        assert!(bed.is_shipped(name), "{name}");
    }
    bed.stop().await;
    bed.start();
    bed.sentinel().await;
    bed.until_open(1).await;
    assert_eq!(bed.without_sentinels(), expected);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_within_a_compressed_file_neither_loses_nor_doubles() {
    let mut bed = Bed::new(&["*.gz"]);
    let total = 40_000;
    bed.write_old("a.gz", &gzip(numbered(0, total).as_bytes()));
    let mut goal = 1;
    while goal < total {
        bed.start();
        bed.wait_for(goal).await;
        goal = bed.records().len() + 1;
        bed.crash().await;
    }
    assert_eq!(bed.records(), lines(0, total));
    bed.start();
    bed.until("the end", |bed| bed.is_shipped("a.gz")).await;
    assert_eq!(bed.records().len(), total);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_compressed_copy_of_a_file_that_was_read_is_not_read() {
    for stopped in [false, true] {
        let mut bed = Bed::new(&["*.log*"]);
        bed.append("app.log", &numbered(0, 300));
        bed.age("app.log");
        bed.start();
        bed.wait_for(300).await;
        bed.rename("app.log", "app.log.1");
        bed.append("app.log", &numbered(300, 310));
        bed.wait_for(310).await;
        if stopped {
            bed.stop().await;
        }
        bed.gzip("app.log.1");
        if stopped {
            bed.start();
        }
        // Read through, and closed again.
        bed.until("the copy", |bed| bed.is_shipped("app.log.1.gz")).await;
        bed.sentinel().await;
        assert_eq!(bed.without_sentinels(), lines(0, 310), "stopped: {stopped}");
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_compressed_copy_of_a_file_that_was_read_in_part_is_read_on() {
    let mut bed = Bed::new(&["app.log*"]);
    bed.append("app.log", &numbered(0, 100));
    bed.start();
    bed.wait_for(100).await;
    bed.crash().await;
    bed.append("app.log", &numbered(100, 150));
    bed.age("app.log");
    bed.rename("app.log", "app.log.1");
    bed.gzip("app.log.1");
    bed.append("app.log", &numbered(150, 160));
    bed.start();
    bed.wait_for(160).await;
    bed.until_open(1).await;
    assert_eq!(bed.sorted(), lines(0, 160));
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_compressed_while_folders_are_listed_for_the_first_time_is_not_lost() {
    let mut bed = Bed::new(&["*.log*"]);
    bed.append("a.log", &numbered(0, 10));
    bed.append("a.log", "the last line");
    bed.start();
    bed.wait_for(10).await;
    bed.crash().await;
    let whole = fs::read(bed.path("a.log")).unwrap();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.append("b.log", "b\n");
    bed.start();
    bed.wait_for(11).await;
    // Neither name was there when the folder was listed.
    bed.write_old("a.log.gz", &gzip(&whole));
    bed.wait_for(12).await;
    assert_eq!(bed.records()[10..], ["b", "the last line"]);
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_only_begins_alike_is_read() {
    let mut bed = Bed::new(&["*.log*"]);
    bed.append("app.log", &numbered(0, 100));
    bed.age("app.log");
    bed.start();
    bed.wait_for(100).await;
    bed.stop().await;
    fs::remove_file(bed.path("app.log")).unwrap();
    // The same first bytes, and others where reading would go on.
    let other = numbered(0, 50) + &numbered(200, 300);
    bed.write_old("app.log.1.gz", &gzip(other.as_bytes()));
    bed.start();
    bed.wait_for(250).await;
    let expected: Vec<_> = [lines(0, 100), lines(0, 50), lines(200, 300)].concat();
    assert_eq!(bed.records(), expected);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_in_the_making_is_waited_for() {
    let mut bed = Bed::new(&["*"]);
    let whole = gzip(numbered(0, 30_000).as_bytes());
    bed.write_old("a.gz", &whole[..whole.len() / 2]);
    bed.start();
    bed.wait_for(1_000).await;
    bed.write_old("a.gz", &whole);
    bed.wait_for(30_000).await;
    assert_eq!(bed.records(), lines(0, 30_000));
    bed.until_open(0).await;
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_was_found_empty_is_unpacked() {
    for first in [&b""[..], b"\x1f", b"plain text\n"] {
        let mut bed = Bed::new(&["*"]);
        let is_plain = first.len() > 1;
        fs::write(bed.path("a.gz"), first).unwrap();
        bed.start();
        bed.until_open(1).await;
        bed.wait_for(usize::from(is_plain)).await;
        // Of a plain one: written anew.
        bed.write_old("a.gz", &gzip(numbered(0, 100).as_bytes()));
        bed.wait_for(100 + usize::from(is_plain)).await;
        bed.until_open(0).await;
        assert_eq!(bed.records()[usize::from(is_plain)..], lines(0, 100));
        bed.stop().await;
        bed.start();
        bed.sentinel().await;
        assert_eq!(bed.records().len(), 101 + usize::from(is_plain));
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_files_that_begin_alike_are_told_apart() {
    // Of each of two files: lines that were read, and lines that were written after a crash.
    for lines_of in [(0, 8, 9, 0), (9, 0, 0, 8), (0, 8, 5, 3), (5, 3, 0, 8), (0, 8, 0, 8)] {
        // Which is looked at first must not matter.
        for names in [["app.log.1", "app.log.2"], ["app.log.2", "app.log.1"]] {
            two_that_begin_alike(lines_of, names).await;
        }
    }
}

async fn two_that_begin_alike(
    (a, more_a, b, more_b): (usize, usize, usize, usize),
    names: [&str; 2],
) {
    let mut bed = Bed::new(&["app.log*"]);
    bed.append("app.log", &format!("the log begins\n{}", numbered(0, a)));
    bed.start();
    bed.wait_for(1 + a).await;
    bed.rename("app.log", names[0]);
    bed.append("app.log", &format!("the log begins\n{}", numbered(100, 100 + b)));
    bed.wait_for(2 + a + b).await;
    bed.crash().await;
    bed.append(names[0], &numbered(a, a + more_a));
    bed.append("app.log", &numbered(100 + b, 100 + b + more_b));
    bed.rename("app.log", names[1]);
    for name in names {
        bed.age(name);
        bed.gzip(name);
    }
    bed.start();
    let read = 2 + a + more_a + b + more_b;
    bed.wait_for(read).await;
    bed.append("app.log", "the end\n");
    bed.wait_for(read + 1).await;
    bed.until_open(1).await;
    let mut expected = [lines(0, a + more_a), lines(100, 100 + b + more_b)].concat();
    expected.extend(["the end", "the log begins", "the log begins"].map(str::to_owned));
    assert_eq!(bed.sorted(), expected, "{a} and {more_a}, {b} and {more_b}, {names:?}");
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_is_not_taken_for_one_that_is_there_and_begins_alike() {
    let mut bed = Bed::new(&["app.log*"]);
    bed.append("app.log", "the log begins\n");
    bed.start();
    bed.wait_for(1).await;
    bed.write_old("app.log.7.gz", &gzip(b"the log begins\nand ends\n"));
    bed.wait_for(3).await;
    bed.until_open(1).await;
    assert_eq!(bed.records(), ["the log begins", "the log begins", "and ends"]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_file_and_its_compressed_copy_one_is_read() {
    let mut bed = Bed::new(&["*.log*"]);
    bed.append("app.log.1", &numbered(0, 50));
    bed.age("app.log.1");
    gzip_file(&bed.path("app.log.1"));
    bed.start();
    bed.wait_for(50).await;
    bed.until("the copy", |bed| bed.is_shipped("app.log.1.gz")).await;
    fs::remove_file(bed.path("app.log.1")).unwrap();
    bed.sentinel().await;
    assert_eq!(bed.without_sentinels(), lines(0, 50));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_damaged_file_what_comes_before_is_read() {
    let mut bed = Bed::new(&["*"]);
    let mut damaged = gzip(numbered(0, 20_000).as_bytes());
    damaged.extend_from_slice(b"what is no member of a gzip file, and long enough to be seen");
    bed.write_old("a.gz", &damaged);
    bed.start();
    bed.wait_for(20_000).await;
    bed.until_open(0).await;
    bed.sentinel().await;
    assert_eq!(bed.without_sentinels(), lines(0, 20_000));
    bed.stop().await;
}
