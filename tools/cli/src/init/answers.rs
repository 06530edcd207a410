//! Answers: from options or from people, each looked at before it is taken.

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, absolute};

use super::vendor::{Form, Need, Question, VENDORS, Vendor};
use crate::failure::Failure;

/// What is known: keys and their values.
#[derive(Default)]
pub struct Answers(Vec<(&'static str, Vec<String>)>);

impl Answers {
    /// The values of a key; none if nobody answered.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.iter().find(|(known, _)| *known == key).map_or(&[], |(_, values)| values)
    }

    /// The value of a key that has one.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key).first().map(String::as_str)
    }

    /// Adds a value that was looked at.
    pub fn add(&mut self, key: &'static str, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => self.0.push((key, vec![value])),
        }
    }

    /// Takes an answer to a question, or says what is wrong with it.
    pub fn take(&mut self, question: &Question, answer: &str) -> Result<(), String> {
        if matches!(question.form, Form::Urls | Form::Pairs | Form::Certificates) {
            for part in answer.split_whitespace() {
                self.add(question.key, checked(question.form, part)?);
            }
            return Ok(());
        }
        if !self.values(question.key).is_empty() {
            return Err("it is there twice".to_owned());
        }
        self.add(question.key, checked(question.form, answer)?);
        Ok(())
    }

    /// Whether the question must be answered, asked, or neither, as things are.
    fn need(&self, question: &Question) -> Option<Need> {
        match question.need {
            _ if !self.values(question.key).is_empty() => None,
            Need::With(other) if self.values(other).is_empty() => None,
            Need::With(_) => Some(Need::Must),
            Need::Unless(other) if self.values(other).is_empty() => Some(Need::Must),
            Need::Unless(_) => None,
            need => Some(need),
        }
    }

    /// The questions without which there is no configuration.
    pub fn missing(&self, vendor: &Vendor) -> Vec<&'static Question> {
        vendor.all_questions().filter(|question| self.need(question) == Some(Need::Must)).collect()
    }

    /// Fills in what is usual.
    pub fn complete(&mut self, vendor: &Vendor) {
        for question in vendor.all_questions() {
            if let Some(Need::Usual(value)) = self.need(question) {
                self.add(question.key, value.to_owned());
            }
        }
        if self.value("slot.luna.certificate").is_some() {
            self.add("slot.luna.login", "certificate".to_owned());
        }
    }
}

/// The answer as it is written into the file.
fn checked(form: Form, answer: &str) -> Result<String, String> {
    let text = || match answer {
        "" => Err("it is empty".to_owned()),
        _ if answer.chars().any(char::is_control) => Err("it has a control character".to_owned()),
        _ => Ok(answer.to_owned()),
    };
    match form {
        Form::Label if answer.len() > 32 => Err("it has more than 32 bytes".to_owned()),
        Form::Label | Form::Text => text(),
        Form::Urls if !answer.starts_with("http://") && !answer.starts_with("https://") => {
            Err("it does not begin with https:// or http://".to_owned())
        }
        Form::Urls => text(),
        Form::Pairs if !answer.contains('=') => Err("it is not name=value".to_owned()),
        Form::Pairs => text(),
        Form::Secret => place_of_secret(answer),
        Form::File | Form::Certificates => {
            fs::metadata(answer).map_err(|error| format!("{answer}: {error}"))?;
            path(answer)
        }
    }
}

/// Never the secret itself, and it is not repeated if somebody wrote it.
fn place_of_secret(answer: &str) -> Result<String, String> {
    match answer.split_once(':') {
        None if answer == "pin" => Ok(answer.to_owned()),
        Some(("file", file)) if !file.is_empty() => Ok(format!("file:{}", path(file)?)),
        Some(("env", name)) if !name.is_empty() && !name.contains('=') => Ok(answer.to_owned()),
        _ => {
            Err("it is not the place of a secret: pin (the application's PIN), file:/path or env:NAME"
                .to_owned())
        }
    }
}

/// The module looks for a relative path in the folder of the configuration; people mean the one that they are in.
fn path(answer: &str) -> Result<String, String> {
    let absolute = absolute(Path::new(answer)).map_err(|error| error.to_string())?;
    absolute.into_os_string().into_string().map_err(|_| "it is not UTF-8".to_owned())
}

/// A conversation.
pub struct Dialog<R, W> {
    /// Where answers come from.
    pub input: R,
    /// Where questions go.
    pub output: W,
}

impl<R: BufRead, W: Write> Dialog<R, W> {
    /// Which vendor.
    pub fn vendor(&mut self) -> Result<&'static Vendor, Failure> {
        for vendor in VENDORS {
            self.say(&format!("  {:<12} {}\n", vendor.name, vendor.title))?;
        }
        loop {
            match Vendor::named(&self.ask("Which one", None)?) {
                Some(vendor) => return Ok(vendor),
                None => self.say("  It is none of these.\n")?,
            }
        }
    }

    /// Everything that is not known yet.
    pub fn questions(&mut self, vendor: &Vendor, answers: &mut Answers) -> Result<(), Failure> {
        for question in vendor.all_questions() {
            while let Some(need) = answers.need(question) {
                let usual = match need {
                    Need::Usual(usual) | Need::May(usual) => Some(usual),
                    Need::Must | Need::With(_) | Need::Unless(_) => None,
                };
                let hint = match question.form {
                    Form::Secret => " (pin, file:/path or env:NAME)",
                    _ => "",
                };
                let answer = self.ask(&format!("{}{hint}", question.ask), usual)?;
                if matches!(need, Need::May(meaning) if answer == meaning || answer == "none") {
                    break;
                }
                if let Err(wrong) = answers.take(question, &answer) {
                    self.say(&format!("  {}: {wrong}.\n", question.key))?;
                }
            }
        }
        Ok(())
    }

    /// A line; an empty one is what is usual.
    pub fn ask(&mut self, what: &str, usual: Option<&str>) -> Result<String, Failure> {
        let usual = usual.unwrap_or_default();
        let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
        loop {
            self.say(&format!("{what}{shown}: "))?;
            let mut line = String::new();
            let read = self.input.read_line(&mut line).map_err(Failure::in_context("standard input"))?;
            match line.trim() {
                "" if read == 0 => return Err(Failure::new("no more answers")),
                "" if usual.is_empty() => self.say("  An answer is needed.\n")?,
                "" => return Ok(usual.to_owned()),
                answer => return Ok(answer.to_owned()),
            }
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let said = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        said.map_err(Failure::in_context("standard error"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(typed: &str) -> (Result<Answers, Failure>, String) {
        let mut dialog = Dialog { input: typed.as_bytes(), output: Vec::new() };
        let talked = dialog.vendor().and_then(|vendor| {
            let mut answers = Answers::default();
            dialog.questions(vendor, &mut answers)?;
            answers.complete(vendor);
            Ok(answers)
        });
        (talked, String::from_utf8(dialog.output).unwrap())
    }

    #[test]
    fn an_empty_line_is_what_is_usual_and_a_bad_answer_is_asked_for_again() {
        let typed = "acme\nciphertrust\n\nkeys\nftp://x\nhttps://a https://b\nme\nhunter2\n\n\n\n\n\n";
        let (answers, said) = talk(typed);
        let answers = answers.unwrap();
        assert_eq!(answers.values("slot.urls"), ["https://a", "https://b"]);
        assert_eq!(answers.value("slot.auth.user"), Some("me"));
        assert_eq!(answers.value("slot.auth.password"), Some("pin"));
        assert_eq!(answers.value("slot.ciphertrust.domain"), None);
        assert_eq!(said.matches("It is none of these").count(), 1, "{said}");
        assert_eq!(said.matches("An answer is needed").count(), 1, "{said}");
        assert_eq!(said.matches("it does not begin with https://").count(), 1, "{said}");
        assert_eq!(said.matches("it is not the place of a secret").count(), 1, "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert!(!said.contains("private key"), "there is no certificate: {said}");
        for meaning in ["The domain whose keys are shown [the account's]: ", " [those of the system]: "] {
            assert_eq!(said.matches(meaning).count(), 1, "{said}");
        }
    }

    #[test]
    fn a_certificate_spares_the_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let (answers, said) = talk(&format!("luna\nhsm\nhttps://a\nme\n{path}\n{path}\n\ncu\n\n\n"));
        let answers = answers.unwrap();
        assert_eq!(answers.value("slot.luna.login"), Some("certificate"));
        assert_eq!(answers.value("slot.luna.role"), Some("cu"));
        assert!(!said.contains("Where its password is"), "{said}");
    }

    #[test]
    fn without_answers_there_is_no_end_without_an_error() {
        assert!(talk("fast\nx\n").0.is_err());
    }

    #[test]
    fn secrets_have_places() {
        assert_eq!(place_of_secret("file:/a/b").unwrap(), "file:/a/b");
        assert!(place_of_secret("file:b").unwrap().ends_with("/b"));
        assert_eq!(place_of_secret("env:NAME").unwrap(), "env:NAME");
        for wrong in ["", "PIN", "hunter2", "file:", "env:", "env:A=b", "x:y"] {
            assert!(place_of_secret(wrong).is_err(), "{wrong}");
        }
    }
}
