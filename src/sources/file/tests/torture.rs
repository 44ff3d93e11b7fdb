//! Rotation while lines are written, and crashes while they are read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{packed::gzip_file, *};

const ROTATIONS: usize = 200;
const LINES_EACH: usize = 25;

/// The first line of every file, counted as one of its lines.
const BANNER: &str = "the log begins";

/// Writes and rotates until it is through.
fn write(
    folder: PathBuf,
    pack: bool,
    written: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    pace: Pace,
) {
    let app = folder.join("app.log");
    for rotation in 0..ROTATIONS {
        let old = folder.join(format!("app.log.{rotation:06}"));
        let mut file = File::options().append(true).create(true).open(&app).unwrap();
        writeln!(file, "{BANNER}").unwrap();
        for i in 1..LINES_EACH {
            writeln!(file, "{}", line(rotation * LINES_EACH + i)).unwrap();
            if i == LINES_EACH / 2 {
                // The writer is told late: it goes on in the renamed file.
                fs::rename(&app, &old).unwrap();
            }
        }
        if pack {
            // As if long ago: nothing waits for a file that does not change.
            let seconds = 1_500_000_000 + 3_600 * rotation as u64;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            gzip_file(&old);
            fs::remove_file(old).unwrap();
        }
        written.store((rotation + 1) * LINES_EACH, Ordering::SeqCst);
        pace.wait();
    }
    done.store(true, Ordering::SeqCst);
}

/// Lets the writer go on, one rotation at a time or several.
#[derive(Clone)]
struct Pace(Arc<(parking_lot::Mutex<usize>, parking_lot::Condvar)>);

impl Pace {
    fn wait(&self) {
        let mut left = self.0.0.lock();
        while *left == 0 {
            self.0.1.wait(&mut left);
        }
        *left -= 1;
    }

    fn allow(&self, rotations: usize) {
        *self.0.0.lock() += rotations;
        self.0.1.notify_all();
    }
}

#[tokio::test(start_paused = true)]
async fn rotations_and_crashes_lose_nothing_and_double_nothing() {
    rotations_and_crashes(false).await;
}

#[tokio::test(start_paused = true)]
async fn nor_do_they_when_files_are_compressed() {
    rotations_and_crashes(true).await;
}

async fn rotations_and_crashes(pack: bool) {
    let mut bed = Bed::new(&["app.log*"]);
    let (written, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let pace = Pace(Arc::default());
    let writer = std::thread::spawn({
        let (folder, written, done, pace) =
            (bed.path(""), written.clone(), done.clone(), pace.clone());
        move || write(folder, pack, written, done, pace)
    });
    let mut random = fastrand::Rng::with_seed(7);
    while !done.load(Ordering::SeqCst) {
        bed.start();
        pace.allow(random.usize(1..20));
        let goal = random.usize(0..=written.load(Ordering::SeqCst));
        bed.wait_for(goal).await;
        for _ in 0..random.usize(0..50) {
            tokio::task::yield_now().await;
        }
        if random.bool() { bed.crash().await } else { bed.stop().await }
    }
    writer.join().unwrap();
    bed.start();
    bed.wait_for(ROTATIONS * LINES_EACH).await;
    bed.append("app.log", "the end\n");
    bed.wait_for(ROTATIONS * LINES_EACH + 1).await;
    let mut expected = lines(0, ROTATIONS * LINES_EACH);
    for banner in expected.iter_mut().step_by(LINES_EACH) {
        BANNER.clone_into(banner);
    }
    expected.push("the end".to_owned());
    expected.sort_unstable();
    assert_eq!(bed.sorted(), expected);
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.stop().await;
}
