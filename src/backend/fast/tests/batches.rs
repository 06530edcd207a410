//! Signatures of several threads in one request.

use std::sync::Barrier;
use std::thread;

use super::*;
use crate::backend::fast::batch::{Share, Verdict};
use crate::error::Error;

const SCHEME: SignScheme = SignScheme::RsaPkcs1(Some(Hash::Sha256));

/// Long enough for threads that start together on a busy machine; a full batch does not wait for its end.
const WINDOW: Duration = Duration::from_millis(500);

fn batching(server: &Server, repeat_sign: bool) -> Fast {
    let settings = config::Fast { batch_window: WINDOW, repeat_sign, ..settings() };
    let hsm = open_with(server, &settings, Secret::Literal("p".into()));
    // The first call gets the token, which the window is not for.
    hsm.describe(&["0B".into()], soon()).remove(0).unwrap();
    hsm
}

fn digest(number: u8) -> [u8; 32] {
    [number; 32]
}

/// What each of so many threads gets that sign at once, the n-th the n-th digest; the key is that of its number.
fn together(hsm: &Fast, count: u8, key: impl Fn(u8) -> &'static str + Sync) -> Vec<Result<Vec<u8>>> {
    let barrier = Barrier::new(count.into());
    let sign = |number: u8| {
        barrier.wait();
        let (key, payload) = (KeyName::from(key(number)), digest(number));
        let request =
            SignRequest { key: &key, password: None, scheme: SCHEME, payload: &payload, approval: false };
        match hsm.sign(&request, soon())? {
            Outcome::Done(signature) => Ok(signature),
            Outcome::Pending(task) => panic!("{task:?}"),
        }
    };
    let sign = &sign;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || sign(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The items of each request to sign, with its certificate.
fn requests(server: &Server) -> Vec<(String, Vec<Vec<u8>>)> {
    let items = |seen: &Seen| {
        let body = body(seen);
        let items = body["hashArray"].as_array().unwrap().iter();
        let items = items.map(|item| STANDARD.decode(item.as_str().unwrap()).unwrap()).collect();
        (body["certificateSN"].as_str().unwrap().to_owned(), items)
    };
    server.seen().iter().filter(|seen| path(seen) == SIGN).map(items).collect()
}

/// A signature that tells what it is over.
fn signature_over(item: &str) -> String {
    let item = STANDARD.decode(item).unwrap();
    STANDARD.encode([b"signature over ", &item[..]].concat())
}

fn expected(number: u8) -> Vec<u8> {
    [b"signature over ", &digest(number)[..]].concat()
}

fn signed(seen: &Seen) -> (u16, String) {
    let body = body(seen);
    let items = body["hashArray"].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
    success(&json!({ "signatureArray": items.map(signature_over).collect::<Vec<_>>() }))
}

/// A service that signs, but for what `refuse` has something against.
fn signing(
    refuse: impl Fn(&[Vec<u8>]) -> Option<(u16, &'static str)> + Send + Sync + 'static,
    status: &'static str,
) -> Server {
    serving(move |seen| {
        if path(seen) == INFO {
            return told(status);
        }
        let items: Vec<_> = body(seen)["hashArray"].as_array().unwrap().clone();
        let items: Vec<_> =
            items.iter().map(|item| STANDARD.decode(item.as_str().unwrap()).unwrap()).collect();
        match refuse(&items) {
            Some((code, message)) => failure(code, message),
            None => signed(seen),
        }
    })
}

#[test]
fn threads_share_a_request_and_each_gets_its_own_signature() {
    let server = signing(|_| None, "valid");
    let hsm = batching(&server, false);
    for (number, signature) in (0..).zip(together(&hsm, 8, |_| SN)) {
        assert_eq!(signature.unwrap(), expected(number));
    }
    let requests = requests(&server);
    assert_eq!(requests.len(), 1);
    let mut items = requests[0].1.clone();
    items.sort();
    assert_eq!(items, (0..8).map(|number| digest(number).to_vec()).collect::<Vec<_>>());
}

#[test]
fn certificates_are_not_mixed_and_no_request_has_more_than_a_hundred() {
    let server = signing(|items| (items.len() > 100).then_some((400, "Too many hashes")), "valid");
    let hsm = batching(&server, false);
    // The first certificate has 110 of them: a full batch, and the rest.
    let key = |number: u8| if number < 110 { SN } else { "0B" };
    for (number, signature) in (0..).zip(together(&hsm, 120, key)) {
        assert_eq!(signature.unwrap(), expected(number));
    }
    let requests = requests(&server);
    let mut sizes: Vec<_> = requests.iter().map(|(key, items)| (key.as_str(), items.len())).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [("0B", 10), (SN, 10), (SN, 100)]);
    assert!(requests.iter().all(|(key, items)| { items.iter().all(|item| (item[0] < 110) == (key == SN)) }));
}

#[test]
fn without_a_window_each_asks_for_itself_and_so_does_who_stays_alone() {
    let server = signing(|_| None, "valid");
    let alone = batching(&server, false);
    assert_eq!(together(&alone, 1, |_| SN).remove(0).unwrap(), expected(0));
    let hsm = open(&server);
    assert!(together(&hsm, 4, |_| SN).iter().all(Result::is_ok));
    assert_eq!(requests(&server).iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [1; 5]);
}

#[test]
fn a_bad_neighbour_harms_nobody() {
    let bad = |items: &[Vec<u8>]| items.contains(&digest(3).to_vec()).then_some((400, "Invalid hash format"));
    let server = signing(bad, "valid");
    let hsm = batching(&server, false);
    for (number, signature) in (0..).zip(together(&hsm, 6, |_| SN)) {
        match number {
            3 => assert_eq!(rv(signature), CKR_DATA_INVALID),
            _ => assert_eq!(signature.unwrap(), expected(number)),
        }
    }
    let mut sizes: Vec<_> = requests(&server).iter().map(|(_, items)| items.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 1, 1, 1, 1, 6]);
}

#[test]
fn what_is_wrong_with_the_certificate_is_asked_once_for_all() {
    let server = signing(|_| Some((400, "Invalid certificate SN")), "revoked");
    let hsm = batching(&server, false);
    for outcome in together(&hsm, 5, |_| SN) {
        assert_eq!(rv(outcome), CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
    // The other one is the first call of all.
    assert_eq!(paths(&server).iter().filter(|path| *path == INFO).count(), 2);
    assert_eq!(requests(&server).len(), 1);
}

/// After a failure nobody knows what was signed.
#[test]
fn a_batch_that_failed_is_tried_singly_by_the_setting_alone() {
    let several = |items: &[Vec<u8>]| (items.len() > 1).then_some((500, "Signing failed"));
    let server = signing(several, "valid");
    for outcome in together(&batching(&server, false), 4, |_| SN) {
        let error = outcome.unwrap_err();
        assert_eq!(error.rv(), CKR_FUNCTION_FAILED);
        assert!(error.to_string().contains("in a batch of 4"), "{error}");
    }
    assert_eq!(requests(&server).len(), 1);
    for (number, signature) in (0..).zip(together(&batching(&server, true), 4, |_| SN)) {
        assert_eq!(signature.unwrap(), expected(number));
    }
    assert_eq!(requests(&server).len(), 1 + 1 + 4);
}

/// The window takes no more than half of the time of whoever opens the batch.
#[test]
fn whoever_opens_a_batch_has_time_left_to_send_it() {
    let server = signing(|_| None, "valid");
    let settings = config::Fast { batch_window: Duration::from_secs(60), ..settings() };
    let hsm = open_with(&server, &settings, Secret::Literal("p".into()));
    hsm.describe(&["0B".into()], soon()).remove(0).unwrap();
    let sign = |number: u8, time: Duration| {
        let (key, payload) = (KeyName::from(SN), digest(number));
        let request =
            SignRequest { key: &key, password: None, scheme: SCHEME, payload: &payload, approval: false };
        match hsm.sign(&request, Deadline::after(time)).unwrap() {
            Outcome::Done(signature) => signature,
            Outcome::Pending(task) => panic!("{task:?}"),
        }
    };
    thread::scope(|scope| {
        let opener = scope.spawn(|| sign(1, Duration::from_secs(2)));
        thread::sleep(Duration::from_millis(100));
        assert_eq!(sign(2, Duration::from_secs(30)), expected(2));
        assert_eq!(opener.join().unwrap(), expected(1));
    });
    assert_eq!(requests(&server).iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [2]);
}

/// What was not sent for the one who opened it the others can still ask for.
#[test]
fn a_batch_that_was_not_sent_is_tried_singly() {
    let (key, items) = (KeyName::from(SN), [digest(1).to_vec(), digest(2).to_vec()]);
    let server = signing(|_| None, "valid");
    let hsm = batching(&server, false);
    let late = Deadline::after(Duration::ZERO);
    assert!(matches!(hsm.batch(&key, &items, late), Verdict::Singly));
    assert_eq!(requests(&server).len(), 0);
    let hsm = open(&Server::nowhere());
    assert!(matches!(hsm.batch(&key, &items, soon()), Verdict::Singly));
    // Here nobody knows.
    let hsm = open(&serving(|_| (200, "{".into())));
    assert!(matches!(hsm.batch(&key, &items, soon()), Verdict::Failed(_)));
}

/// Those who have less time than the service wants to be left alone are not sent to it one by one.
#[test]
fn a_batch_that_the_service_had_no_time_for_fails_without_more_requests() {
    let server = signing(|_| Some((429, "Too many requests")), "valid");
    let hsm = batching(&server, false);
    let busy = hsm.batch(&SN.into(), &[digest(1).to_vec()], Deadline::after(Duration::from_millis(500)));
    assert!(matches!(busy, Verdict::Busy(pause, _) if pause == Duration::from_secs(1)));
    assert_eq!(requests(&server).len(), 1);
    let barrier = Barrier::new(2);
    let batches = Batches::new(Duration::from_secs(60));
    let busy = |_: &[Vec<u8>]| {
        let error = Error::new(CKR_DEVICE_ERROR, "too many requests");
        Verdict::Busy(Duration::from_secs(8), error)
    };
    thread::scope(|scope| {
        // It gathers for a second.
        let opener = scope.spawn(|| {
            barrier.wait();
            batches.share(&SN.into(), &digest(1), Deadline::after(Duration::from_secs(2)), busy)
        });
        barrier.wait();
        thread::sleep(Duration::from_millis(100));
        let patient = scope.spawn(|| batches.share(&SN.into(), &digest(2), soon_enough(), busy));
        let hasty = batches.share(&SN.into(), &digest(3), Deadline::after(Duration::from_secs(5)), busy);
        assert!(matches!(hasty, Share::Failed(error) if error.rv() == CKR_DEVICE_ERROR));
        assert!(matches!(patient.join().unwrap(), Share::Alone));
        assert!(matches!(opener.join().unwrap(), Share::Failed(_)));
    });
}

fn soon_enough() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

#[test]
fn an_answer_with_too_few_signatures_is_none_for_anybody() {
    let server = serving(|seen| match path(seen) {
        INFO => told("valid"),
        _ => success(&json!({ "signatureArray": ["AAAA"] })),
    });
    for outcome in together(&batching(&server, true), 3, |_| SN) {
        assert_eq!(rv(outcome), CKR_DEVICE_ERROR);
    }
}
