//! `p11rest man` and `p11rest completion`: what the arguments and `docs/configuration.md` say, for `man` and for shells.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::{Cli, reference};
use roff::Page;

mod roff;

/// What `p11rest completion` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  For this shell:
    . <(p11rest completion bash)
  For every one of yours:
    p11rest completion bash > ~/.local/share/bash-completion/completions/p11rest
    p11rest completion zsh > ~/.zfunc/_p11rest      # with ~/.zfunc in fpath
    p11rest completion fish > ~/.config/fish/completions/p11rest.fish")]
pub struct CompletionArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: CompletedShell,
}

/// The shells with a completion.
#[derive(Clone, Copy, clap::ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

/// What `p11rest man` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  Write the pages, and read one:
    p11rest man --out /tmp/man
    man /tmp/man/p11rest.toml.5")]
pub struct ManArgs {
    /// The folder; made if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `p11rest completion`.
pub fn completion(args: &CompletionArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "p11rest", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(Failure::in_context("standard output"))
}

/// The program without its hidden commands, which are for itself.
fn shown() -> Command {
    let all = Cli::command();
    let commands: Vec<_> = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut shown = Command::new("p11rest").subcommand_required(true).subcommands(commands);
    shown = shown.version(env!("CARGO_PKG_VERSION"));
    shown = shown.about(all.get_about().cloned().unwrap_or_default());
    shown.after_help(all.get_after_help().cloned().unwrap_or_default())
}

/// Runs `p11rest man`.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    fs::create_dir_all(&args.out).map_err(Failure::in_context(args.out.display()))?;
    for (name, text) in [("p11rest.1", tool_page()), ("p11rest.toml.5", configuration_page())] {
        let path = args.out.join(name);
        fs::write(&path, text).map_err(Failure::in_context(path.display()))?;
    }
    Ok(())
}

fn configuration_page() -> String {
    let mut page = Page::new("P11REST.TOML", 5, "p11rest.toml", "the configuration of libp11rest.so");
    page.markdown(reference::PAGE);
    page.heading("SEE ALSO");
    page.see_also(&[("p11rest", 1), ("p11rest.toml", 5)], "p11rest.toml");
    page.finish()
}

fn tool_page() -> String {
    let mut program = shown();
    program.build();
    let about = program.get_about().map(StyledStr::to_string).unwrap_or_default();
    let mut page = Page::new("P11REST", 1, "p11rest", about.trim_end_matches('.'));
    page.heading("SYNOPSIS");
    page.synopsis("p11rest", "COMMAND [OPTIONS]");
    page.heading("DESCRIPTION");
    page.paragraph(
        "`p11rest` writes configurations for the PKCS#11 module `libp11rest.so`, tries the tokens that it shows, \
         and emulates HSMs to try it without one. Exit status: 0 done, 1 failed, 2 wrong arguments.",
    );
    page.examples(&text(program.get_after_help()));
    page.heading("COMMANDS");
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(&mut page, command, "p11rest");
    }
    page.heading("ENVIRONMENT");
    for (name, meaning) in ENVIRONMENT {
        page.tagged(&format!("`{name}`"), &[meaning]);
    }
    page.heading("SEE ALSO");
    page.see_also(&[("p11rest.toml", 5), ("pkcs11-tool", 1), ("openssl", 1)], "p11rest");
    page.finish()
}

/// Variables of the tool; the module's are in the other page.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("P11REST_MODULE", "The module, where `--module` does not name it."),
    ("P11REST_CONFIG", "The module's configuration, where `--config` does not name it."),
    ("P11REST_PIN", "The PIN, where `--pin-file` does not name a file with it."),
    ("P11REST_KEY_PIN", "The password of a key, where `--key-pin-file` does not name a file with it."),
    ("P11REST_LOG", "The level of the module's log on standard error; `--log` sets it."),
];

/// A command with its options and examples, then the commands below it.
fn describe(page: &mut Page, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    page.subheading(&name);
    page.paragraph(&format!("{}.", text(command.get_about()).trim_end_matches('.')));
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    for argument in arguments.filter(|argument| argument.get_id() != "help") {
        describe_argument(page, argument);
    }
    page.examples(&text(command.get_after_help()));
    for below in command.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(page, below, &name);
    }
}

fn describe_argument(page: &mut Page, argument: &Arg) {
    let takes_value = argument.get_action().takes_values();
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(|name| name.to_string()).unwrap_or_else(|| argument.get_id().to_string());
    let tag = match argument.get_long() {
        Some(long) if takes_value => format!("`--{long}` {value}"),
        Some(long) => format!("`--{long}`"),
        None => value,
    };
    // clap takes the full stop.
    let help = format!("{}.", text(argument.get_help()).trim_end_matches('.'));
    let mut more = Vec::new();
    let choices: Vec<_> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if takes_value && !choices.is_empty() {
        more.push(format!("One of: {}.", choices.join(", ")));
    }
    let usual: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !usual.is_empty() {
        more.push(format!("Default: {}.", usual.join(", ")));
    }
    let lines: Vec<_> = [help].into_iter().chain(more).collect();
    page.tagged(&tag, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn text(styled: Option<&StyledStr>) -> String {
    styled.map(StyledStr::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The man page has each key as a tag, so it cannot lack one; a test of the module compares the list with the code.
    #[test]
    fn the_page_of_the_configuration_has_every_key_and_its_variable() {
        let page = configuration_page();
        let mut rows = 0;
        for row in reference::rows() {
            let tag = format!("\n.TP\n\\fB{}\\fR\n", row.key.replace('-', "\\-"));
            assert_eq!(page.matches(&tag).count(), 1, "{}", row.key);
            assert!(row.variable == "none" || page.contains(row.variable), "{}", row.variable);
            rows += 1;
        }
        assert_eq!(rows, reference::PAGE.lines().filter(|line| line.contains("| `P11REST_")).count() + 1);
    }

    #[test]
    fn the_page_of_the_tool_has_every_command_and_option_that_is_shown() {
        let page = tool_page();
        for command in
            ["init", "list", "sign", "verify", "public\\-key", "random", "emulate", "luna enroll", "man"]
        {
            assert!(page.contains(&format!("\n.SS p11rest {command}\n")), "{command}");
        }
        assert!(page.contains("\\fB\\-\\-pin\\-file\\fR FILE") && !page.contains("bench\\-client"), "{page}");
        assert!(!page.contains("demo\\-application"));
    }

    /// What teaches is an example.
    #[test]
    fn every_command_has_an_example() {
        fn look(command: &Command) {
            if command.has_subcommands() {
                return command.get_subcommands().for_each(look);
            }
            let help = text(command.get_after_help());
            let call = format!("p11rest {}", command.get_name());
            let below = format!("p11rest luna {}", command.get_name());
            assert!(help.contains(&call) || help.contains(&below), "{}", command.get_name());
        }
        look(&shown());
    }
}
