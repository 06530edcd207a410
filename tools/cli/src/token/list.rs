//! `p11rest list`

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismInfo;
use cryptoki::slot::Slot;

use super::{NO_SLOTS, Token, key};
use crate::failure::Failure;
use crate::library;
use crate::refusal::pkcs11_failure;
use crate::report::{columns, line};

/// What `p11rest list` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  The slots and their tokens; no HSM is asked:
    p11rest list
  Why a slot has no token:
    p11rest list --log warn
  The keys and certificates of a token:
    p11rest list --objects --token payments
  What it can do:
    p11rest list --mechanisms --token payments")]
pub struct Args {
    /// Lists the objects of a token.
    #[arg(long)]
    objects: bool,
    /// Lists the mechanisms of a token.
    #[arg(long)]
    mechanisms: bool,
    #[command(flatten)]
    token: super::Args,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    if !args.objects && !args.mechanisms {
        return slots(&args.token.module.load()?);
    }
    // Mechanisms are known without the HSM.
    let token = if args.objects { args.token.open()? } else { args.token.open_without_login()? };
    if args.mechanisms {
        mechanisms(&token)?;
    }
    if args.objects {
        objects(&token)?;
    }
    Ok(())
}

fn slots(pkcs11: &Pkcs11) -> Result<(), Failure> {
    let slots = pkcs11.get_all_slots().map_err(pkcs11_failure)?;
    let mut rows = vec![["slot", "token", "manufacturer", "model", "serial", "login"].map(str::to_owned)];
    for slot in &slots {
        rows.push(slot_row(pkcs11, *slot)?);
    }
    match slots[..] {
        [] => line(NO_SLOTS),
        _ => columns(&rows).iter().for_each(line),
    }
    let with_token = pkcs11.get_slots_with_token().map_err(pkcs11_failure)?;
    if let (true, Some(hint)) = (with_token.len() < slots.len(), library::log_hint()) {
        eprintln!("no token: {hint}");
    }
    Ok(())
}

fn slot_row(pkcs11: &Pkcs11, slot: Slot) -> Result<[String; 6], Failure> {
    if !pkcs11.get_slot_info(slot).map_err(pkcs11_failure)?.token_present() {
        return Ok([&slot.id().to_string(), "no token", "", "", "", ""].map(str::to_owned));
    }
    let info = pkcs11.get_token_info(slot).map_err(pkcs11_failure)?;
    let login = match (info.login_required(), info.protected_authentication_path()) {
        (false, _) => "none needed",
        (true, true) => "at the device",
        (true, false) => "PIN",
    };
    let id = slot.id().to_string();
    Ok([&id, info.label(), info.manufacturer_id(), info.model(), info.serial_number(), login]
        .map(str::to_owned))
}

fn objects(token: &Token) -> Result<(), Failure> {
    let mut rows = vec![key::COLUMNS.map(str::to_owned)];
    for object in token.session.find_objects(&[]).map_err(pkcs11_failure)? {
        rows.push(key::row(&token.session, object).map_err(pkcs11_failure)?);
    }
    line(format_args!("token {:?}: {} objects", token.label, rows.len() - 1));
    columns(&rows).iter().for_each(line);
    Ok(())
}

fn mechanisms(token: &Token) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for mechanism in token.mechanisms()? {
        rows.push([mechanism.to_string(), uses(&token.mechanism_info(mechanism)?)]);
    }
    line(format_args!("token {:?}: {} mechanisms", token.label, rows.len()));
    columns(&rows).iter().for_each(line);
    Ok(())
}

fn uses(info: &MechanismInfo) -> String {
    let uses = [
        (info.sign(), "sign"),
        (info.verify(), "verify"),
        (info.encrypt(), "encrypt"),
        (info.decrypt(), "decrypt"),
        (info.digest(), "digest"),
        (info.generate(), "generate"),
        (info.generate_key_pair(), "generate pairs"),
        (info.wrap(), "wrap"),
        (info.unwrap(), "unwrap"),
        (info.derive(), "derive"),
    ];
    uses.iter().filter(|(can, _)| *can).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}
