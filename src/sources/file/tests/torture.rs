//! Rotation while lines are written, and crashes while they are read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const ROTATIONS: usize = 200;
const LINES_EACH: usize = 25;

/// Writes and rotates until it is through.
fn write(folder: PathBuf, written: Arc<AtomicUsize>, done: Arc<AtomicBool>, pace: Pace) {
    let app = folder.join("app.log");
    for rotation in 0..ROTATIONS {
        let mut file = File::options().append(true).create(true).open(&app).unwrap();
        for i in 0..LINES_EACH {
            writeln!(file, "{}", line(rotation * LINES_EACH + i)).unwrap();
            if i == LINES_EACH / 2 {
                // The writer is told late: it goes on in the renamed file.
                fs::rename(&app, folder.join(format!("app.log.{rotation:06}"))).unwrap();
            }
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
    let mut bed = Bed::new(&["app.log*"]);
    let (written, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let pace = Pace(Arc::default());
    let writer = std::thread::spawn({
        let (folder, written, done, pace) =
            (bed.path(""), written.clone(), done.clone(), pace.clone());
        move || write(folder, written, done, pace)
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
    expected.push("the end".to_owned());
    assert_eq!(bed.sorted(), expected);
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.stop().await;
}
