use super::*;

fn write(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(&[IoSlice::new(bytes)], offset)
}

/// A run with unsynced writes, names and crashes; answers the trace and all contents.
fn run(seed: u64) -> (Vec<String>, Vec<(String, Vec<u8>)>) {
    let files = SimFiles::new(seed);
    for round in 0..10 {
        let file = files.create_new(Path::new(&format!("/d/{round}"))).unwrap();
        write(&*file, &[round; 5000], 0).unwrap();
        if round % 2 == 0 {
            file.sync_data().unwrap();
            files.sync_dir(Path::new("/d")).unwrap();
        }
        write(&*file, &[round + 100; 3000], 4000).unwrap();
        files.crash();
    }
    let names = files.list(Path::new("/d")).unwrap();
    let contents = names.into_iter().map(|name| {
        let bytes = files.read(&Path::new("/d").join(&name)).unwrap();
        (name, bytes)
    });
    let contents = contents.collect();
    (files.trace(), contents)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(7), run(7));
    assert!((0..20).any(|seed| run(seed) != run(7)), "the seed has no effect");
}

#[test]
fn what_was_synced_survives_and_the_rest_may_be_torn() {
    let mut torn = 0;
    for seed in 0..50 {
        let files = SimFiles::new(seed);
        let path = Path::new("/d/a");
        let file = files.create_new(path).unwrap();
        write(&*file, &[1; 2048], 0).unwrap();
        file.sync_data().unwrap();
        files.sync_dir(Path::new("/d")).unwrap();
        write(&*file, &[2; 2048], 2048).unwrap();
        files.crash();
        assert!(file.sync_data().is_err(), "a handle survived the crash");
        let bytes = files.read(path).unwrap();
        assert_eq!(bytes[..2048], [1; 2048]);
        assert!(bytes[2048..].iter().all(|&byte| byte == 0 || byte == 2));
        torn += u32::from(bytes.len() != 4096 || bytes[2048..].contains(&0));
    }
    assert!(torn > 10 && torn < 50, "{torn} of 50 torn");
}

#[test]
fn names_need_a_sync_of_their_folder() {
    let kept = (0..50)
        .filter(|&seed| {
            let files = SimFiles::new(seed);
            files.create_new(Path::new("/d/a")).unwrap().sync_data().unwrap();
            files.crash();
            files.open(Path::new("/d/a")).is_ok()
        })
        .count();
    assert!(kept > 0 && kept < 50, "{kept} of 50 kept");
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let lost = (0..50)
        .filter(|&seed| {
            let files = SimFiles::new(seed);
            let file = files.create_new(Path::new("/d/a")).unwrap();
            files.sync_dir(Path::new("/d")).unwrap();
            write(&*file, &[1; 512], 0).unwrap();
            files.trouble(Trouble::Sync(0));
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            let mut bytes = [0; 512];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes, [1; 512], "reads still see what was written");
            files.crash();
            files.read(Path::new("/d/a")).unwrap() != [1; 512]
        })
        .count();
    assert!(lost > 0 && lost < 50, "{lost} of 50 lost");
}

#[test]
fn a_replaced_file_is_old_or_new() {
    for seed in 0..50 {
        let files = SimFiles::new(seed);
        let path = Path::new("/d/a");
        files.replace(path, &[1; 3000]).unwrap();
        files.trouble(Trouble::Sync(seed % 2));
        let replaced = files.replace(path, &[2; 4000]).is_ok();
        files.crash();
        let bytes = files.read(path).unwrap();
        assert!(bytes == [2; 4000] || (!replaced && bytes == [1; 3000]), "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_and_reserved_space_is_there() {
    let files = SimFiles::new(1);
    files.set_budget(Some(4096));
    let file = files.create_new(Path::new("/d/a")).unwrap();
    file.reserve(4000).unwrap();
    let other = files.create_new(Path::new("/d/b")).unwrap();
    let error = write(&*other, &[0; 200], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    write(&*file, &[1; 4000], 0).unwrap();
    assert_eq!(files.free_bytes(Path::new("/d")).unwrap(), 96);
}
