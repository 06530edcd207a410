//! Times of the pieces of which a search and a signature consist, without network: `cargo bench --features fuzzing`.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use cryptoki_sys::{
    CK_ULONG, CKA_CLASS, CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_PRIVATE, CKA_SIGN, CKA_TOKEN, CKK_EC,
    CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
};
use p11rest::backend::securosys::fuzzing::{sign_answer, sign_request};
use p11rest::crypto::encode::{ecdsa_der_to_raw, ecdsa_raw_to_der};
use p11rest::model::attribute::{Attributes, Builder};
use p11rest::model::template::Template;
use p11rest::transport::Headers;
use p11rest::transport::fuzzing::{parsed, post};

const DIGEST: [u8; 32] = [0x5a; 32];
/// r and s whose first bits are set, so that each takes a byte more in DER.
const SIGNATURE: [u8; 64] = [0xc3; 64];

fn templates(criterion: &mut Criterion) {
    let attributes = key();
    let ulong = |value: CK_ULONG| value.to_ne_bytes().to_vec().into();
    let matching = Template::new(vec![(CKA_CLASS, ulong(CKO_PRIVATE_KEY)), (CKA_KEY_TYPE, ulong(CKK_EC))]);
    let other = Template::new(vec![(CKA_CLASS, ulong(CKO_PUBLIC_KEY)), (CKA_KEY_TYPE, ulong(CKK_EC))]);
    assert!(matching.matches(&attributes) && !other.matches(&attributes));
    criterion.bench_function("template, match", |b| b.iter(|| black_box(&matching).matches(&attributes)));
    criterion.bench_function("template, no match", |b| b.iter(|| black_box(&other).matches(&attributes)));
}

fn key() -> Attributes {
    let mut builder = Builder::new();
    builder.ulong(CKA_CLASS, CKO_PRIVATE_KEY).ulong(CKA_KEY_TYPE, CKK_EC);
    builder.bytes(CKA_LABEL, "ec-p256").bytes(CKA_ID, DIGEST);
    for kind in [CKA_TOKEN, CKA_PRIVATE, CKA_SIGN] {
        builder.bool(kind, true);
    }
    builder.build()
}

fn requests(criterion: &mut Criterion) {
    let (mut fixed, mut headers) = (Headers::default(), Headers::default());
    for (name, value) in [("Host", "127.0.0.1:8080"), ("Content-Type", "application/json")] {
        fixed.add(name, value).expect("a good header");
    }
    headers.add("X-API-KEY", "tsb-x-token_07a1b2c3d4e5f60718293a4b5c6d7e8f").expect("a good header");
    let mut out = Vec::new();
    criterion.bench_function("request, build", |b| {
        b.iter(|| {
            let body = sign_request("ec-p256", black_box(&DIGEST));
            out.clear();
            post(&mut out, "/v1/synchronousSign", &fixed, &headers, &body);
            out.len()
        });
    });
}

fn answers(criterion: &mut Criterion) {
    let der = ecdsa_raw_to_der(&SIGNATURE);
    let body = format!("{{\"signature\":\"{}\"}}", STANDARD.encode(&der));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         date: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\n{body}",
        body.len()
    );
    let read = |answer: &str| sign_answer(&parsed(answer.as_bytes())?);
    assert_eq!(read(&answer).as_deref(), Some(der.as_slice()));
    criterion.bench_function("answer, parse", |b| b.iter(|| read(black_box(&answer))));
    assert_eq!(ecdsa_der_to_raw(&der, 32).as_deref(), Ok(SIGNATURE.as_slice()));
    criterion.bench_function("DER to r and s", |b| b.iter(|| ecdsa_der_to_raw(black_box(&der), 32)));
}

criterion_group!(pieces, templates, requests, answers);
criterion_main!(pieces);
