//! Images: what was saved is loaded; what was changed in any way is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::{ImageError, LastChange, Origin, remove};
use crate::index::{Asked, Index};
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

const ENTRIES: u16 = 3_000;

fn key(number: u16) -> SuppressionKey {
    let digest = Digest::of(&number.to_be_bytes());
    let recipient = RecipientKey::from_bytes(*digest.as_bytes().first_chunk().unwrap());
    SuppressionKey {
        tenant: TenantId::new(1 + u32::from(number % 3)).unwrap(),
        recipient,
        scope: match number % 4 {
            0 => Scope::All,
            1 => Scope::Marketing,
            _ => Scope::Stream(number + 1),
        },
        reason: Reason::ALL[usize::from(number % 5)],
    }
}

fn index() -> Index {
    let index = Index::default();
    for number in 0..ENTRIES {
        index.insert(key(number), Timestamp::from_seconds(i64::from(number)));
    }
    index
}

fn origin() -> Origin {
    Origin {
        epoch: "0123-00000001".to_owned(),
        seq: 77,
        as_of: Timestamp::from_millis(1_795_000_000_123),
        last: Some(LastChange {
            seq: 70,
            digest: Digest::of(b"a change"),
        }),
    }
}

/// A folder with an image, its path, and its bytes.
fn saved() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.image");
    let written = index().save(&path, &origin(), &AtomicBool::new(false));
    assert!(written.unwrap());
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

#[test]
fn what_was_saved_is_loaded() {
    let (_folder, path, _) = saved();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner may read it");
    assert!(!path.with_extension("new").exists());
    assert_eq!(Origin::read(&path).unwrap(), origin());
    let (loaded, from) = Index::load(&path).unwrap();
    assert_eq!(from, origin());
    assert_eq!(
        (loaded.len(), loaded.bytes()),
        (index().len(), index().bytes())
    );
    for number in 0..ENTRIES {
        let key = key(number);
        assert!(loaded.stands(&key), "{number}");
        let hit = loaded.look_up(key.tenant, &[key.recipient], Asked::Any);
        let since = Timestamp::from_seconds(i64::from(number));
        assert_eq!(hit.map(|hit| hit.since), Some(since), "{number}");
    }
}

#[test]
fn an_empty_index_and_no_last_change_are_saved_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.image");
    let origin = Origin {
        last: None,
        ..origin()
    };
    let never = AtomicBool::new(false);
    assert!(Index::default().save(&path, &origin, &never).unwrap());
    let (loaded, from) = Index::load(&path).unwrap();
    assert_eq!((loaded.len(), from), (0, origin));
}

#[test]
fn every_flipped_byte_is_noticed() {
    let (_folder, path, bytes) = saved();
    // Every byte of the beginning and the end, and some between.
    let ends = (0..110).chain(bytes.len() - 33..bytes.len());
    for at in ends.chain((110..bytes.len() - 33).step_by(2_999)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(&path, changed).unwrap();
        let error = Index::load(&path).unwrap_err();
        assert!(
            !matches!(error, ImageError::Missing | ImageError::Io(_)),
            "{at}: {error}"
        );
    }
}

#[test]
fn what_is_cut_off_or_longer_is_noticed() {
    let (_folder, path, bytes) = saved();
    let lengths = (0..110).chain((110..bytes.len()).step_by(4_999));
    for length in lengths.chain(bytes.len() - 33..bytes.len()) {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = Index::load(&path).unwrap_err();
        assert!(matches!(error, ImageError::Damaged(_)), "{length}: {error}");
    }
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    let error = Index::load(&path).unwrap_err();
    assert!(matches!(error, ImageError::Damaged(_)), "{error}");
}

#[test]
fn another_format_is_not_read() {
    let (_folder, path, bytes) = saved();
    for (at, byte) in [(0, b'D'), (11, 2), (8, 1)] {
        let mut changed = bytes.clone();
        changed[at] = byte;
        fs::write(&path, &changed).unwrap();
        for error in [Index::load(&path).map(drop), Origin::read(&path).map(drop)] {
            assert!(matches!(error, Err(ImageError::Format)), "{at}");
        }
    }
    fs::remove_file(&path).unwrap();
    let error = Index::load(&path).unwrap_err();
    assert!(matches!(error, ImageError::Missing), "{error}");
}

#[test]
fn a_writing_that_ends_early_leaves_the_old_one() {
    let (_folder, path, bytes) = saved();
    let fresh = path.with_extension("new");
    // What a process that was killed between writing and renaming leaves.
    fs::write(&fresh, "a part").unwrap();
    let cancelled = AtomicBool::new(true);
    assert!(!Index::default().save(&path, &origin(), &cancelled).unwrap());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(!fresh.exists());
    let never = AtomicBool::new(false);
    fs::write(&fresh, "a part").unwrap();
    assert!(Index::default().save(&path, &origin(), &never).unwrap());
    assert_eq!(Index::load(&path).unwrap().0.len(), 0);
    remove(&path).unwrap();
    remove(&path).unwrap();
    assert!(!path.exists());
}
