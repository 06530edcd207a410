//! As an application in Rust sees it: through the `cryptoki` crate, which knows the module only by the standard.

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::aead::{GcmMessageParams, GcmParams, GeneratorFunction};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType, MessageParam};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::{AES, Case, EC, ED};
use crate::support::module;
use crate::support::openssl::{describe, ecdsa_der, hex_below, verifies_digest, verifies_eddsa};

const DATA: &[u8] = b"through another pair of hands";

/// The module is initialised already: there is one `C_Initialize` in a process.
fn user(case: &Case) -> Session {
    let context = Pkcs11::new(module()).unwrap();
    let slot = Slot::try_from(case.slot).unwrap();
    assert!(context.get_slots_with_initialized_token().unwrap().contains(&slot));
    assert_eq!(context.get_token_info(slot).unwrap().label(), case.label);
    let session = context.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(case.dialect.pin()))).unwrap();
    session
}

fn find(session: &Session, class: ObjectClass, label: &str) -> ObjectHandle {
    let template = [Attribute::Class(class), Attribute::Label(label.into())];
    let found = session.find_objects(&template).unwrap();
    assert_eq!(found.len(), 1, "{class:?} {label}");
    found[0]
}

pub fn finds_and_reads_objects(case: &Case) {
    let session = user(case);
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::RSA)];
    assert_eq!(session.find_objects(&template).unwrap().len(), case.seed().rsa.len());
    let key = find(&session, ObjectClass::PUBLIC_KEY, case.rsa());
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent, AttributeType::PrivateExponent];
    // What the object does not have is left out.
    let read = session.get_attributes(key, &wanted).unwrap();
    let modulus = hex_below(&describe(&case.spki(case.rsa())), "Modulus:")[1..].to_vec();
    assert_eq!(read, [Attribute::Modulus(modulus), Attribute::PublicExponent(vec![1, 0, 1])]);
    for label in case.seed().certified {
        let certificate = find(&session, ObjectClass::CERTIFICATE, label);
        let read = session.get_attributes(certificate, &[AttributeType::Value]).unwrap();
        assert_eq!(read, [Attribute::Value(case.certificate(label))]);
    }
}

fn pss() -> PkcsPssParams {
    PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() }
}

pub fn signs_and_verifies(case: &Case) {
    let session = user(case);
    let pss_options = ["rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256"];
    for (mechanism, label, options, able) in [
        (Mechanism::Sha256RsaPkcs, case.rsa(), &[][..], true),
        (Mechanism::Sha256RsaPkcsPss(pss()), case.other_rsa(), &pss_options[..], case.able("pss")),
        (Mechanism::EcdsaSha256, EC, &[], case.able("ec")),
        (Mechanism::EcdsaSha256, case.other_ec(), &[], case.able("ec")),
        (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)), ED, &[], case.able("edwards")),
    ] {
        if !able {
            continue;
        }
        let key = find(&session, ObjectClass::PRIVATE_KEY, label);
        let public = find(&session, ObjectClass::PUBLIC_KEY, label);
        let whole = session.sign(&mechanism, key, DATA).unwrap();
        session.sign_init(&mechanism, key).unwrap();
        for part in DATA.chunks(10) {
            session.sign_update(part).unwrap();
        }
        for signature in [whole, session.sign_final().unwrap()] {
            session.verify(&mechanism, public, DATA, &signature).unwrap();
            session.verify_signature_init(&mechanism, public, &signature).unwrap();
            session.verify_signature(DATA).unwrap();
            assert!(session.verify(&mechanism, public, &DATA[1..], &signature).is_err());
            let spki = case.spki(label);
            match label {
                ED => verifies_eddsa(&spki, DATA, &signature),
                _ if case.seed().ec.contains(&label) => {
                    verifies_digest("sha256", &[], &spki, DATA, &ecdsa_der(&signature))
                }
                _ => verifies_digest("sha256", options, &spki, DATA, &signature),
            }
            .unwrap();
        }
    }
}

pub fn encrypts_and_decrypts(case: &Case) {
    let session = user(case);
    let oaep = PkcsOaepParams::new(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, PkcsOaepSource::empty());
    let (key, public) = (
        find(&session, ObjectClass::PRIVATE_KEY, case.rsa()),
        find(&session, ObjectClass::PUBLIC_KEY, case.rsa()),
    );
    for mechanism in [Mechanism::RsaPkcs, Mechanism::RsaPkcsOaep(oaep)] {
        let sealed = session.encrypt(&mechanism, public, DATA).unwrap();
        assert_eq!(session.decrypt(&mechanism, key, &sealed).unwrap(), DATA);
    }
    if case.able("aes_blocks") {
        let aes = find(&session, ObjectClass::SECRET_KEY, AES);
        let sealed = session.encrypt(&Mechanism::AesEcb, aes, &[7; 64]).unwrap();
        assert_eq!(session.decrypt(&Mechanism::AesEcb, aes, &sealed).unwrap(), [7; 64]);
    }
}

pub fn digests_and_draws_random_bytes(case: &Case) {
    let session = user(case);
    assert_eq!(session.digest(&Mechanism::Sha256, b"abc").unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
    match session.generate_random_vec(48) {
        Ok(random) => assert!(case.able("random") && random.len() == 48),
        Err(error) => assert!(!case.able("random"), "{error}"),
    }
}

pub fn encrypts_messages(case: &Case) {
    let session = user(case);
    let aes = find(&session, ObjectClass::SECRET_KEY, AES);
    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    let params = GcmMessageParams::new(&mut iv, 0.into(), GeneratorFunction::Generate, &mut tag).unwrap();
    session.message_encrypt_init(&Mechanism::AesGcmMessage(params), aes).unwrap();
    let message = MessageParam::AesGcmMessage(params);
    let sealed = session.encrypt_message(&message, b"header", DATA).unwrap();
    session.message_encrypt_final().unwrap();
    let with_tag = [&sealed[..], &tag].concat();
    let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, b"header", 128.into()).unwrap());
    assert_eq!(session.decrypt(&mechanism, aes, &with_tag).unwrap(), DATA);
}

pub fn makes_session_objects(case: &Case) {
    let session = user(case);
    let modulus = hex_below(&describe(&case.spki(case.rsa())), "Modulus:")[1..].to_vec();
    let key = session
        .create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(false),
            Attribute::Verify(true),
            Attribute::Modulus(modulus),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ])
        .unwrap();
    let private = find(&session, ObjectClass::PRIVATE_KEY, case.rsa());
    let signature = session.sign(&Mechanism::Sha256RsaPkcs, private, DATA).unwrap();
    session.verify(&Mechanism::Sha256RsaPkcs, key, DATA, &signature).unwrap();
    session.destroy_object(key).unwrap();
    assert!(session.verify(&Mechanism::Sha256RsaPkcs, key, DATA, &signature).is_err());
}
