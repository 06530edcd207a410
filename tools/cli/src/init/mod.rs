//! `p11rest init`: a configuration for one slot, from a few questions or from options.
//!
//! ```text
//! vendor   which questions each vendor has
//! answers  options and conversation
//! file     the text
//! ```

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use crate::failure::Failure;
use crate::report::shell;
use answers::{Answers, Dialog};
use vendor::{Question, VENDORS, Vendor};

mod answers;
mod file;
mod vendor;

/// What `p11rest init` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  It asks what it has to know:
    p11rest init
  Without questions:
    p11rest init --vendor ciphertrust --url https://cm.example --label payments \\
      --set auth.user=signer --ca ca.pem --output p11rest.toml
    p11rest init --vendor securosys --url https://tsb.example:8080 --label payments \\
      --set auth.api_key.key_management=file:/run/secrets/km --set auth.api_key.key_operation=pin
    p11rest init --vendor fast --url https://hsm.fast.com.vn --label seal \\
      --set auth.user=company --set key.certificate=company.pem
  Then:
    p11rest list --config p11rest.toml --objects")]
pub struct Args {
    /// What stands behind the slot: slot.backend.
    #[arg(long, value_parser = PossibleValuesParser::new(VENDORS.iter().map(|vendor| vendor.name)))]
    vendor: Option<String>,
    /// The URL of the service; may be given again for its other members.
    #[arg(long)]
    url: Vec<String>,
    /// The token's label, by which applications find it.
    #[arg(long)]
    label: Option<String>,
    /// The file with the authorities that the service's certificate comes from; else those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// Another answer: a key of the slot as in p11rest.toml(5), such as auth.user=NAME. A secret is told by its place: pin,
    /// file:/path or env:NAME. May be given again.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Where to write it, with mode 0600; "-" is standard output; else ~/.config/p11rest/p11rest.toml, where the module
    /// looks.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes it over a file that is there.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let output = match &args.output {
        Some(path) => path.clone(),
        None => usual_place()?,
    };
    refuse_to_overwrite(&output, args.force)?;
    let mut dialog = Dialog { input: io::stdin().lock(), output: io::stderr() };
    let may_ask = io::stdin().is_terminal();
    let vendor = match args.vendor.as_deref().and_then(Vendor::named) {
        Some(vendor) => vendor,
        None if may_ask => dialog.vendor()?,
        None => return Err(Failure::new("which vendor? Name it with --vendor")),
    };
    let mut answers = of_options(args, vendor)?;
    if !answers.missing(vendor).is_empty() && may_ask {
        dialog.questions(vendor, &mut answers)?;
    }
    if let Some(question) = answers.missing(vendor).first() {
        return Err(Failure::new(format_args!("{} is missing", question.key))
            .remedy(format_args!("name it with {}", option(question))));
    }
    answers.complete(vendor);
    write(&output, &file::text(vendor, &answers)?, args.force)
}

/// What the options say.
fn of_options(args: &Args, vendor: &Vendor) -> Result<Answers, Failure> {
    let mut answers = Answers::default();
    let named = args.url.iter().map(|url| ("urls", url.as_str()));
    let named = named.chain(args.label.iter().map(|label| ("label", label.as_str())));
    let named = named.chain(args.ca.iter().map(|ca| ("tls.ca", ca.as_str())));
    let named: Vec<_> = named.collect();
    for (name, value) in named {
        take(&mut answers, vendor, name, value)?;
    }
    for setting in &args.settings {
        // Without a key it might be a secret, which is not repeated.
        let (name, value) = setting.split_once('=').ok_or_else(|| Failure::new("--set: write KEY=VALUE"))?;
        take(&mut answers, vendor, name, value)?;
    }
    Ok(answers)
}

fn take(answers: &mut Answers, vendor: &Vendor, name: &str, value: &str) -> Result<(), Failure> {
    let mut known = vendor.all_questions().map(|question| (short(question), question));
    let Some((_, question)) = known.find(|(known, _)| *known == name) else {
        let names: Vec<_> = vendor.all_questions().map(short).collect();
        return Err(Failure::new(format_args!("--set: {name:?} is not asked for with {}", vendor.name))
            .remedy(format_args!("these are: {}", names.join(", "))));
    };
    answers.take(question, value).map_err(Failure::in_context(option(question)))
}

/// The key without its first table.
fn short(question: &Question) -> &'static str {
    question.key.strip_prefix("slot.").unwrap_or(question.key)
}

/// The option that answers it.
fn option(question: &Question) -> String {
    match short(question) {
        "urls" => "--url".to_owned(),
        "label" => "--label".to_owned(),
        "tls.ca" => "--ca".to_owned(),
        name => format!("--set {name}=…"),
    }
}

/// The first place that is the user's in which the module looks.
fn usual_place() -> Result<PathBuf, Failure> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| Failure::new("where to? Name a file with --output"))?;
    Ok(folder.join("p11rest").join("p11rest.toml"))
}

fn refuse_to_overwrite(output: &Path, force: bool) -> Result<(), Failure> {
    match !force && output != Path::new("-") && output.symlink_metadata().is_ok() {
        true => Err(already_there(output)),
        false => Ok(()),
    }
}

fn already_there(output: &Path) -> Failure {
    Failure::new(format_args!("{} is already there", output.display())).remedy("--force writes over it")
}

/// Whole or not at all; for its owner only.
fn write(output: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if output == Path::new("-") {
        return io::stdout().write_all(text.as_bytes()).map_err(Failure::in_context("standard output"));
    }
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(Failure::in_context(folder.display()))?;
    // It has mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Failure::in_context(folder.display()))?;
    file.write_all(text.as_bytes()).map_err(Failure::in_context(output.display()))?;
    let kept = if force { file.persist(output) } else { file.persist_noclobber(output) };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => already_there(output),
        _ => Failure::new(format_args!("{}: {}", output.display(), error.error)),
    })?;
    let file = shell(output);
    eprintln!(
        "{file} is written. What the token has:\n\n    p11rest list --config {file} --objects --log warn"
    );
    Ok(())
}
