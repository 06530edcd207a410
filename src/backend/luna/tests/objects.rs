//! Finding the partition and listing what it holds (sections 8, 9 and 14.1).

use cryptoki_sys::{
    CKK_AES, CKK_RSA, CKR_FUNCTION_REJECTED, CKR_MECHANISM_INVALID, CKR_RANDOM_NO_RNG, CKR_TOKEN_NOT_PRESENT,
};

use super::*;
use crate::backend::{KeyKind, KeyName, Listed, SignRequest, SignScheme};

/// The path of an object at the older place and at the newer one.
fn object(place: &str, rest: &str) -> String {
    at("GET", &format!("/{place}{rest}"))
}

fn names(luna: &Luna) -> Vec<String> {
    luna.list(soon()).unwrap().iter().map(|name| name.as_str().to_owned()).collect()
}

fn listed(luna: &Luna, name: &str) -> Listed {
    let info = luna.describe(&[name.into()], soon()).remove(0).unwrap().unwrap();
    let KeyKind::Listed(listed) = info.kind else { panic!("{info:?}") };
    listed
}

#[test]
fn objects_come_in_pages_and_are_read_one_by_one() {
    let server = appliance(|seen| {
        let page = |offset: usize| object("object/objects", &format!("?limit=100&offset={offset}"));
        Some(match &*seen.target {
            target if target == page(0) => Answer {
                headers: vec![("Link", "</x?limit=100&offset=2>; rel=\"next\"".into())],
                ..answer(200, r#"{"objects":[{"id":"19","url":"…"},{"id":"20","url":"…"}]}"#)
            },
            target if target == page(2) => {
                answer(200, r#"{"objects":[{"id":"21"},{"id":"22"},{"id":"23"}]}"#)
            }
            target if target == object("object/objects", "/19") => answer(
                200,
                r#"{"id":"19","label":"sign","class":"Private Key","keyType":"RSA","keyId":"01ab"}"#,
            ),
            target if target == object("object/objects", "/20") => {
                answer(200, r#"{"CKA_LABEL":"sign","CKA_CLASS":"CKO_PUBLIC_KEY","CKA_KEY_TYPE":"CKK_RSA"}"#)
            }
            target if target == object("object/objects", "/21") => {
                answer(200, r#"{"label":"wrap","type":"4","key_type":"31","ouid":"n/a"}"#)
            }
            // One that only a login shows, and one that cannot be read.
            target if target == object("object/objects", "/22") => answer(200, "{}"),
            target if target == object("object/objects", "/23") => {
                fault(500, "HSMPLUGIN_FAILED_TO_GET_OBJECT_INFO")
            }
            _ => return None,
        })
    });
    let luna = open(&server, &settings());
    assert_eq!(names(&luna), ["sign", "wrap"]);
    let pair = Listed { private: true, public: true, key_type: Some(CKK_RSA), ..Listed::default() };
    assert_eq!(listed(&luna, "sign"), pair);
    assert_eq!(listed(&luna, "wrap"), Listed { secret: true, key_type: Some(CKK_AES), ..Listed::default() });
    let info = luna.describe(&["sign".into(), "nope".into()], soon());
    assert_eq!(info[0].as_ref().unwrap().as_ref().unwrap().id, Some(vec![0x01, 0xab]));
    assert!(matches!(info[1], Ok(None)));
    assert_eq!(count(&server, "POST /auth/session"), 0, "the shared session will do");
}

#[test]
fn the_older_place_is_found_and_remembered() {
    let server = appliance(|seen| {
        Some(match &*seen.target {
            target if target == object("objects", "?limit=100&offset=0") => {
                answer(200, r#"[{"id":19,"label":"whole","class":"secretKey","keyType":"AES"}]"#)
            }
            target if target.contains("/object/objects") => fault(404, "FRAMEWORK_RESOURCE_NOT_FOUND"),
            _ => return None,
        })
    });
    let luna = open(&server, &settings());
    assert_eq!((names(&luna), names(&luna)), (vec!["whole".to_owned()], vec!["whole".to_owned()]));
    assert_eq!(count(&server, &object("object/objects", "?limit=100&offset=0")), 1);
    assert_eq!(count(&server, &object("objects", "?limit=100&offset=0")), 2);
}

/// Section 14.1: a private session where the shared one is not taken, and it is ended at the end.
#[test]
fn one_object_may_need_a_private_session() {
    let server = appliance(|seen| match &*seen.target {
        target if target.ends_with("/object/objects?limit=100&offset=0") => {
            Some(answer(200, r#"{"objects":[{"id":"19"},{"id":"20"}]}"#))
        }
        target if target.contains("/object/objects/") => Some(match seen.header("cookie") {
            Some(_) => answer(200, format!(r#"{{"label":"k{}","class":"2"}}"#, &target[target.len() - 2..])),
            None => fault(401, SESSION_GONE),
        }),
        _ => None,
    });
    let luna = open(&server, &settings());
    assert_eq!(names(&luna), ["k19", "k20"]);
    assert_eq!(names(&luna), ["k19", "k20"]);
    assert_eq!(count(&server, "POST /auth/session"), 1);
    luna.close(soon());
    assert_eq!(server.targets().last().map(String::as_str), Some("DELETE /auth/session"));
}

/// Section 13.6: the list alone is not enough.
#[test]
fn an_account_that_may_not_read_objects_is_told_so() {
    let server = appliance(|seen| match &*seen.target {
        target if target.ends_with("offset=0") => {
            Some(answer(200, r#"{"objects":[{"id":"19"},{"id":"20"}]}"#))
        }
        target if target.contains("/object/objects/") => Some(fault(401, "FRAMEWORK_NO_ACL_RULE")),
        _ => None,
    });
    assert_eq!(open(&server, &settings()).list(soon()).unwrap_err().rv(), CKR_FUNCTION_REJECTED);
}

#[test]
fn a_refused_password_is_not_shown_for_each_object() {
    let server = appliance(|seen| match &*seen.target {
        target if target.ends_with("offset=0") => {
            Some(answer(200, r#"{"objects":[{"id":"19"},{"id":"20"},{"id":"21"}]}"#))
        }
        target if target.contains("/object/objects/") => Some(fault(401, "FRAMEWORK_UNAUTHORIZED")),
        _ => None,
    });
    let luna = open(&server, &settings());
    luna.list(soon()).unwrap_err();
    assert_eq!(server.targets().iter().filter(|target| target.contains("/object/objects/")).count(), 1);
}

/// With two partitions, the second of which is not initialised.
fn two_partitions() -> Server {
    appliance(|seen| {
        let partition = |id: &str| format!("GET /api/lunasa/hsms/154704/partitions/{id}");
        Some(match &*seen.target {
            "GET /api/lunasa/hsms/154704/partitions" => {
                answer(200, r#"{"partitions":[{"id":1682975235230},{"id":"1682975235231"}]}"#)
            }
            target if target == partition("1682975235230") => {
                answer(200, r#"{"name":"p1","label":"first","state":"initialized"}"#)
            }
            target if target == partition("1682975235231") => {
                answer(200, r#"{"name":"p2","label":"","state":"zeroized"}"#)
            }
            target if target.ends_with("offset=0") => answer(200, r#"{"objects":[]}"#),
            _ => return None,
        })
    })
}

#[test]
fn the_partition_is_named_by_id_name_or_label() {
    let list = |partition: Option<&str>| {
        let settings = config::Luna { partition: partition.map(str::to_owned), ..settings() };
        open(&two_partitions(), &settings).list(soon()).map_err(|error| (error.rv(), error.to_string()))
    };
    for name in ["1682975235230", "p1", "first"] {
        assert_eq!(list(Some(name)), Ok(Vec::<KeyName>::new()), "{name}");
    }
    for (name, reason) in [
        (Some("p2"), "zeroized"),
        (Some("1682975235231"), "zeroized"),
        (Some("nope"), "no partition"),
        (None, "several"),
    ] {
        let (rv, text) = list(name).unwrap_err();
        assert_eq!(rv, CKR_TOKEN_NOT_PRESENT);
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn there_is_no_cryptography() {
    let server = appliance(|_| None);
    let luna = open(&server, &settings());
    log_in(&luna);
    let scheme = SignScheme::RsaPkcs1(None);
    let request = SignRequest { key: &"k".into(), password: None, scheme, payload: b"x", approval: false };
    let asked = server.seen().len();
    assert_eq!(luna.sign(&request, soon()).map(|_| ()).unwrap_err().rv(), CKR_MECHANISM_INVALID);
    assert_eq!(luna.random(&mut [0; 4], soon()).unwrap_err().rv(), CKR_RANDOM_NO_RNG);
    assert!(!luna.has_cryptography());
    assert_eq!(server.seen().len(), asked);
}
