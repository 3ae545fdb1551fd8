use super::*;
use std::string::{String, ToString};
use std::{format, vec, vec::Vec};

/// Of the text form, with room for `room` keys; what was in the table before does not matter.
fn keys(text: &str, room: usize) -> SyncKeys<Vec<Row>> {
    let mut keys = SyncKeys::with_rows(vec![[0xEE; 12]; room]);
    keys.read_text(text).unwrap();
    keys
}

#[test]
fn keys_are_in_order_whatever_the_order_they_come_in() {
    let mut table: SyncKeys<[Row; 4]> = SyncKeys::new();
    for key in [300, 2, u16::MAX, 0] {
        assert_eq!(table.merge(key, u64::from(key).saturating_add(1)), Ok(true));
    }
    assert_eq!(table.to_string(), "0_1|2_3|300_301|65535_65536");
    assert_eq!([0, 1, 2, 300, u16::MAX].map(|key| table.val(key)), [1, 0, 3, 301, 65_536]);
    assert_eq!([0, 1, 299, 301].map(|key| table.contains(key)), [true, false, false, false]);
    assert_eq!((table.len(), table.capacity(), table.is_empty()), (4, 4, false));
}

#[test]
fn a_val_rises_and_never_falls_by_a_merge() {
    let mut table = keys("1_5", 2);
    assert_eq!([4, 5, 6, 6].map(|val| table.merge(1, val).unwrap()), [false, false, true, false]);
    assert_eq!(table.merge(1, u64::MAX), Ok(true));
    assert_eq!((table.val(1), table.len()), (u64::MAX, 1));
}

#[test]
fn a_key_at_0_is_there_and_has_not_risen() {
    let mut table = keys("", 1);
    assert!(table.is_empty());
    assert_eq!(table.merge(7, 0), Ok(false));
    assert!(table.contains(7) && table.len() == 1);
}

#[test]
fn set_may_lower_a_val_and_add_a_key() {
    let mut table = keys("1_5|2_9", 3);
    assert_eq!([table.set(2, 3), table.set(1, 0), table.set(0, 1)], [Ok(()); 3]);
    assert_eq!(table.to_string(), "0_1|1_0|2_3");
}

#[test]
fn a_full_table_takes_the_keys_that_it_has_and_no_other() {
    let (mut table, full) = (keys("1_5|3_9", 2), TooManyKeys { capacity: 2 });
    assert_eq!((table.merge(2, 1), table.set(0, 1)), (Err(full), Err(full)));
    assert_eq!((table.merge(3, 10), table.set(1, 4)), (Ok(true), Ok(())));
    assert_eq!(table.to_string(), "1_4|3_10");
    assert_eq!(keys("", 0).merge(1, 1), Err(TooManyKeys { capacity: 0 }));
}

#[test]
fn no_table_holds_more_than_64_keys() {
    let mut table = keys("", 100);
    let merged = (0..65).map(|key| table.merge(key, 1).is_ok()).collect::<Vec<_>>();
    assert_eq!(merged, (0..65).map(|key| key < 64).collect::<Vec<_>>());
    assert_eq!((table.len(), table.capacity(), table.entries().len()), (64, 64, 64));
    assert!(table.entries().map(|entry| entry.key).eq(0..64));
}

#[test]
fn a_key_that_is_removed_leaves_the_others() {
    let mut table = keys("1_5|2_6|3_7", 3);
    for (key, left) in [(4, "1_5|2_6|3_7"), (2, "1_5|3_7"), (3, "1_5"), (1, ""), (1, "")] {
        table.remove(key);
        assert_eq!(table.to_string(), left);
    }
}

#[test]
fn another_epoch_begins_without_keys_and_the_same_one_with_all() {
    let mut table = keys("1_5", 1);
    table.begin(None);
    assert_eq!(table.val(1), 5);
    table.begin(Some(Epoch::FIRST));
    assert_eq!((table.epoch(), table.len()), (Some(Epoch::FIRST), 0));
    table.merge(1, 4).unwrap();
    table.begin(Some(Epoch::FIRST));
    assert_eq!(table.val(1), 4);
    table.begin(Epoch::new(2));
    assert!(table.is_empty());
}

#[test]
fn what_was_stored_is_what_is_restored() {
    let mut table = keys("1_5|65535_18446744073709551615", 3);
    for epoch in [None, Some(Epoch::FIRST), Epoch::new(u32::MAX)] {
        table.epoch = epoch;
        let mut out = [0xEE; 33];
        assert_eq!(table.encode(&mut out[..31]), Err(BufferTooSmall { required: 32 }));
        assert_eq!(out, [0xEE; 33], "nothing was written");
        assert_eq!(table.encode(&mut out), Ok(32));
        assert_eq!(out[32], 0xEE);
        let mut restored = keys("9_9|10_10", 2);
        assert_eq!(restored.decode(&out[..32]), Ok(()));
        assert_eq!(restored, table);
    }
}

#[test]
fn what_cannot_be_restored_changes_nothing() {
    let mut out = [0; 32];
    keys("1_5|2_6", 2).encode(&mut out).unwrap();
    let mut small = keys("9_9", 1);
    let before = small.clone();
    assert_eq!(small.decode(&out), Err(BodyError::TooManyKeys { capacity: 1 }));
    assert_eq!(small.decode(&out[..31]), Err(BodyError::Length { length: 31, expected: 32 }));
    out[1] = 1;
    assert_eq!(small.decode(&out), Err(BodyError::Reserved { bits: 1 }));
    out[1] = 0;
    out[9] = 2;
    assert_eq!(small.decode(&out), Err(BodyError::KeyOrder { key: 2 }), "the second of 2 and 2");
    assert_eq!(small, before);
}

#[test]
fn equal_cursors_are_equal_in_tables_of_any_size() {
    let (mut one, other) = (keys("1_5|2_6", 2), keys("1_5|2_6", 9));
    assert_eq!(one, other);
    one.epoch = Some(Epoch::FIRST);
    assert_ne!(one, other);
    assert_ne!(keys("1_5", 2), keys("1_6", 2));
    assert_ne!(keys("1_5", 2), keys("1_5|2_6", 2));
}

#[test]
fn a_table_of_any_size_is_a_cursor_of_unknown_size() {
    let mut table: SyncKeys<[Row; 3]> = SyncKeys::default();
    let any: &mut SyncKeys = &mut table;
    any.merge(2, 8).unwrap();
    assert_eq!((any.capacity(), any.to_string()), (3, String::from("2_8")));
    assert_eq!(format!("{table:?}"), "SyncKeys { epoch: None, keys: 2_8 }");
}

#[test]
fn the_text_is_read_and_written_the_same() {
    for text in ["", "0_0", "1_620943725|2_620943769", "0_18446744073709551615|65535_1"] {
        assert_eq!(keys(text, 2).to_string(), text);
    }
    assert_eq!(keys("007_08", 1).to_string(), "7_8");
}

#[test]
fn a_text_that_is_wrong_is_told_where_and_changes_nothing() {
    let mut table = keys("3_3", 2);
    table.epoch = Some(Epoch::FIRST);
    let before = table.clone();
    for (text, error) in [
        ("x", TextError::Number { at: 0 }),
        ("_1", TextError::Number { at: 0 }),
        ("65536_1", TextError::Number { at: 0 }),
        ("1_18446744073709551616", TextError::Number { at: 2 }),
        ("1_99999999999999999999", TextError::Number { at: 2 }),
        ("1_", TextError::Number { at: 2 }),
        ("1_+1", TextError::Number { at: 2 }),
        ("1_1|", TextError::Number { at: 4 }),
        ("1_1||2_2", TextError::Number { at: 4 }),
        ("1", TextError::Separator { at: 1 }),
        ("1:1", TextError::Separator { at: 1 }),
        ("1_1_2_2", TextError::Separator { at: 3 }),
        ("1_1 |2_2", TextError::Separator { at: 3 }),
        ("2_1|2_1", TextError::Order { at: 4 }),
        ("2_1|1_1", TextError::Order { at: 4 }),
        ("1_1|2_2|3_3", TextError::TooManyKeys { at: 8, capacity: 2 }),
    ] {
        assert_eq!(table.read_text(text), Err(error), "{text}");
        assert_eq!(table, before, "{text}");
    }
    table.read_text("1_1").unwrap();
    assert_eq!((table.epoch(), table.len()), (Some(Epoch::FIRST), 1), "the text tells no epoch");
}
