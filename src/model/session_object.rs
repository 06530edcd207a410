//! Objects that callers make and that live no longer than a session: public keys, certificates and data.

use cryptoki_sys::{
    CK_OBJECT_CLASS, CK_SESSION_HANDLE, CK_UNAVAILABLE_INFORMATION, CKA_APPLICATION, CKA_CERTIFICATE_TYPE,
    CKA_CLASS, CKA_COPYABLE, CKA_DESTROYABLE, CKA_EC_PARAMS, CKA_EC_POINT, CKA_ENCRYPT, CKA_ID,
    CKA_KEY_GEN_MECHANISM, CKA_KEY_TYPE, CKA_LABEL, CKA_LOCAL, CKA_MODIFIABLE, CKA_MODULUS, CKA_MODULUS_BITS,
    CKA_OBJECT_ID, CKA_PRIVATE, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO, CKA_TOKEN, CKA_TRUSTED,
    CKA_UNIQUE_ID, CKA_VALUE, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP, CKC_X_509, CKK_EC, CKK_EC_EDWARDS,
    CKK_RSA, CKO_CERTIFICATE, CKO_DATA, CKO_PUBLIC_KEY, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};

use super::attribute::Builder;
use super::object::{Material, Object, certificate_parts, public_parts};
use super::template::{Template, Value};
use crate::config::EdwardsPoint;
use crate::crypto::certificate::Certificate;
use crate::crypto::public_key::PublicKey;
use crate::crypto::verify;
use crate::error::{Error, Result};

/// A session object and the session that it dies with.
pub struct SessionObject {
    /// The session that made it.
    pub owner: CK_SESSION_HANDLE,
    /// The object.
    pub object: std::sync::Arc<Object>,
}

/// Attributes that the module alone sets (section 4.4 and the footnotes of section 4).
const OURS: [u64; 4] = [CKA_UNIQUE_ID, CKA_LOCAL, CKA_KEY_GEN_MECHANISM, CKA_MODULUS_BITS];

/// Attributes whose values are `CK_BBOOL`.
const BOOLEANS: [u64; 10] = [
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_VERIFY,
    CKA_VERIFY_RECOVER,
    CKA_ENCRYPT,
    CKA_WRAP,
    CKA_TRUSTED,
];

/// Attributes that `C_SetAttributeValue` may change.
const CHANGEABLE: [u64; 2] = [CKA_LABEL, CKA_ID];

/// The object of `C_CreateObject`.
///
/// # Errors
/// `CKR_TEMPLATE_INCOMPLETE`, `CKR_TEMPLATE_INCONSISTENT`, `CKR_ATTRIBUTE_VALUE_INVALID`, `CKR_ATTRIBUTE_READ_ONLY`,
/// `CKR_ATTRIBUTE_TYPE_INVALID`.
pub fn create(template: &Template, unique_id: String, edwards_point: EdwardsPoint) -> Result<Object> {
    let class = template.ulong(CKA_CLASS)?.ok_or_else(|| incomplete("CKA_CLASS"))?;
    if OURS.iter().any(|kind| template.get(*kind).is_some()) {
        return Err(Error::new(CKR_ATTRIBUTE_READ_ONLY, "the template sets what only the token sets"));
    }
    for kind in BOOLEANS {
        template.bool(kind)?;
    }
    let mut builder = Builder::new();
    for (kind, value) in template.iter() {
        check_known(class, kind)?;
        builder.bytes(kind, value);
    }
    let material = match class {
        CKO_PUBLIC_KEY => public_key(&mut builder, template, edwards_point)?,
        CKO_CERTIFICATE => certificate(&mut builder, template)?,
        CKO_DATA => data(&mut builder),
        _ => {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "objects of this class are the HSM's alone"));
        }
    };
    builder
        .bool(CKA_TOKEN, false)
        .default_bool(CKA_PRIVATE, false)
        .default_bool(CKA_MODIFIABLE, true)
        .default_bool(CKA_COPYABLE, true)
        .default_bool(CKA_DESTROYABLE, true)
        .default_bytes(CKA_LABEL, [])
        .bytes(CKA_UNIQUE_ID, unique_id);
    Ok(Object { attributes: builder.build(), material })
}

/// The object with the changes of `C_SetAttributeValue`.
///
/// # Errors
/// `CKR_ATTRIBUTE_READ_ONLY` for anything but the label and the id.
pub fn changed(object: &Object, template: &Template) -> Result<Object> {
    let mut builder = Builder::from_set(&object.attributes);
    for (kind, value) in template.iter() {
        if !CHANGEABLE.contains(&kind) {
            return Err(Error::new(CKR_ATTRIBUTE_READ_ONLY, format!("attribute {kind:#x} does not change")));
        }
        builder.bytes(kind, value);
    }
    Ok(Object { attributes: builder.build(), material: object.material.clone() })
}

/// The attributes of `object` that a copy begins with: those that a template may set and that `template` does not.
pub fn own_attributes(object: &Object, template: &Template) -> Vec<(u64, Value)> {
    let settable = |kind: u64| !OURS.contains(&kind) && template.get(kind).is_none();
    let attributes = object.attributes.iter().filter(|(kind, _)| settable(*kind));
    attributes.map(|(kind, value)| (kind, value.to_vec().into())).collect()
}

fn incomplete(what: &str) -> Error {
    Error::new(CKR_TEMPLATE_INCOMPLETE, format!("the template lacks {what}"))
}

/// Attributes of other classes are refused, so that a caller does not believe in them.
fn check_known(class: CK_OBJECT_CLASS, kind: u64) -> Result<()> {
    let known = match class {
        CKO_DATA => ![CKA_KEY_TYPE, CKA_CERTIFICATE_TYPE, CKA_VERIFY, CKA_ENCRYPT].contains(&kind),
        CKO_CERTIFICATE => ![CKA_KEY_TYPE, CKA_VERIFY, CKA_ENCRYPT, CKA_MODULUS].contains(&kind),
        CKO_PUBLIC_KEY => ![CKA_VALUE, CKA_CERTIFICATE_TYPE, CKA_APPLICATION].contains(&kind),
        _ => true,
    };
    if known {
        return Ok(());
    }
    Err(Error::new(CKR_ATTRIBUTE_TYPE_INVALID, format!("attribute {kind:#x} does not belong to the class")))
}

fn public_key(builder: &mut Builder, template: &Template, edwards_point: EdwardsPoint) -> Result<Material> {
    let key_type = template.ulong(CKA_KEY_TYPE)?.ok_or_else(|| incomplete("CKA_KEY_TYPE"))?;
    let need = |kind, name| template.get(kind).ok_or_else(|| incomplete(name));
    let public = match key_type {
        CKK_RSA => PublicKey::from_rsa(
            need(CKA_MODULUS, "CKA_MODULUS")?,
            need(CKA_PUBLIC_EXPONENT, "CKA_PUBLIC_EXPONENT")?,
        ),
        CKK_EC | CKK_EC_EDWARDS => {
            PublicKey::from_ec(need(CKA_EC_PARAMS, "CKA_EC_PARAMS")?, need(CKA_EC_POINT, "CKA_EC_POINT")?)
        }
        _ => return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "keys of this type are not served")),
    };
    let public = public.map_err(|error| {
        Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "the template gives no usable public key").because(error)
    })?;
    if super::object::key_type(&public) != Some(key_type) {
        return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, "the parameters are of another key type"));
    }
    if template.get(CKA_PUBLIC_KEY_INFO).is_some_and(|spki| !spki.is_empty() && spki != public.spki()) {
        return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, "CKA_PUBLIC_KEY_INFO is of another key"));
    }
    public_parts(builder, &public, edwards_point, true);
    builder
        .default_bool(CKA_VERIFY, verify::serves(&public))
        .default_bool(CKA_ENCRYPT, key_type == CKK_RSA)
        .default_bool(CKA_WRAP, false)
        .default_bool(CKA_VERIFY_RECOVER, false)
        .default_bool(CKA_TRUSTED, false)
        .default_bytes(CKA_ID, [])
        .bool(CKA_LOCAL, false)
        .ulong(CKA_KEY_GEN_MECHANISM, CK_UNAVAILABLE_INFORMATION);
    Ok(Material::Public(public))
}

fn certificate(builder: &mut Builder, template: &Template) -> Result<Material> {
    let certificate = x509(template)?;
    certificate_parts(builder, template.id().unwrap_or_default(), &certificate);
    builder.default_bool(CKA_TRUSTED, false);
    Ok(Material::Passive)
}

/// The certificate that a template brings.
///
/// # Errors
/// `CKR_TEMPLATE_INCOMPLETE`; `CKR_ATTRIBUTE_VALUE_INVALID` for what is no X.509 certificate.
pub fn x509(template: &Template) -> Result<Certificate> {
    let kind = template.ulong(CKA_CERTIFICATE_TYPE)?.ok_or_else(|| incomplete("CKA_CERTIFICATE_TYPE"))?;
    if kind != CKC_X_509 {
        return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "only X.509 certificates are served"));
    }
    let der = template.get(CKA_VALUE).ok_or_else(|| incomplete("CKA_VALUE"))?;
    Certificate::from_der(der).map_err(|error| {
        Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE is no certificate").because(error)
    })
}

fn data(builder: &mut Builder) -> Material {
    builder.default_bytes(CKA_APPLICATION, []).default_bytes(CKA_OBJECT_ID, []).default_bytes(CKA_VALUE, []);
    Material::Passive
}
