use super::*;

#[test]
fn writers_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Writer>();
}
