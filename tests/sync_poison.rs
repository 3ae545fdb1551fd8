//! A reset of the key whose item could not be applied.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
use longlink::Instant;
use longlink::sync::{Client, Config, Memory, Request, Row};

fn page(entry: &[u8; 12], item: Option<u64>) -> Vec<u8> {
    let mut out =
        vec![1, 0, 0, 1, 0, 0, 0, 1, 0, u8::from(item.is_some()), 0, 0, 0, 0, 0, item.map_or(0, |_| 16), 0, 0, 0, 0];
    out.extend(entry);
    if let Some(val) = item {
        out.extend([0, 2, 1, 0, 0, 0, 0, 0]);
        out.extend(val.to_be_bytes());
    }
    out
}

#[test]
fn single_items_are_not_asked_for_once_the_key_begins_anew() {
    let (config, mut memory) = (Config::DEFAULT, Memory::<[Row; 8]>::new());
    let mut client = Client::new(&config, &mut memory, 1, 2_048).unwrap();
    let mut now = Instant::from_secs(1);
    client.handle_online(now);
    let ask = |client: &mut Client<'_>, now: &mut Instant| {
        *now = (*now).max(client.poll_timeout().unwrap_or(*now));
        client.handle_timeout(*now, None);
        let (sequence, head) = client.poll_request().unwrap();
        let body = [&head[..], client.rows()].concat();
        client.handle_request_sent(*now);
        (sequence, Request::decode(&body).unwrap().max_items)
    };
    // Item 50 cannot be applied, three times.
    for _ in 0..3 {
        let (sequence, _) = ask(&mut client, &mut now);
        let body = page(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50], Some(50));
        let page = client.handle_response(now, sequence, &body).unwrap();
        let item = page.items().next().unwrap();
        client.reject(now, &page.receipt(), &item).unwrap();
    }
    // The store has begun this key anew: its head is 3.
    let (sequence, items) = ask(&mut client, &mut now);
    assert_eq!(items, 1);
    let body = page(&[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3], None);
    let page = client.handle_response(now, sequence, &body).unwrap();
    client.commit(now, &page.receipt()).unwrap();
    client.want(now);
    assert_eq!(ask(&mut client, &mut now).1, 100, "pages again");
}
