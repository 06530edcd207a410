//! Work that the appliance does later: a task at `Location`, which is asked until it is finished (Luna reference
//! section 6).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED};
use serde_json::Value;

use super::errors::{Purpose, Refusal};
use super::service::{Call, Service, parsed};
use super::session::Private;
use super::wire;
use crate::error::{Error, Result};
use crate::transport::{Deadline, Response};

/// How long after a task was begun, or asked, it is asked again: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The path of the task that an answer names. Other places (`…/login/so/3`) say nothing (section 14.2).
fn task(answer: &Response) -> Option<String> {
    let location = answer.kept.first("location")?;
    // Some addresses are whole, and some lack their first slash.
    let at =
        location.find("/tasks/").map(|at| at + 1).or_else(|| location.starts_with("tasks/").then_some(0))?;
    let id = location.get(at + "tasks/".len()..)?;
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    fits.then(|| format!("/tasks/{id}"))
}

impl Service {
    /// What became of a call: its answer, or that of the task that it began.
    ///
    /// # Errors
    /// `CKR_FUNCTION_FAILED` when the task failed, `CKR_DEVICE_ERROR` when the appliance does not know it or the deadline
    /// comes first, and those of the table.
    pub(super) fn finished(
        &self,
        answer: Response,
        private: &Arc<Private>,
        deadline: Deadline,
    ) -> Result<Response> {
        let Some(path) = task(&answer).filter(|_| answer.is_success()) else { return Ok(answer) };
        let purpose = Purpose::Task;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.remaining().unwrap_or_default();
            if left <= pause {
                let text = format!("{purpose}: {path} was not finished at the deadline");
                return Err(Error::new(CKR_DEVICE_ERROR, text));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            let answer = self.on(&Call::get(&path, purpose), private, deadline)?;
            if !matches!(answer.status, 200 | 303) {
                return Err(Refusal::read(&answer).error(purpose));
            }
            let failed =
                state(&parsed(purpose, &answer).unwrap_or_default()).is_some_and(|state| state == "error");
            if failed || answer.status == 303 {
                let answer =
                    self.on(&Call::get(&format!("{path}/response"), Purpose::Outcome), private, deadline)?;
                // A refused password is not a task that failed: its answer says so.
                return match failed && !(Refusal::read(&answer).is_about_password()) {
                    true => Err(Error::new(CKR_FUNCTION_FAILED, format!("{purpose}: {path} failed"))),
                    false => Ok(answer),
                };
            }
        }
    }
}

/// In small letters: they are written in more than one way.
fn state(answer: &Value) -> Option<String> {
    let state = wire::member(answer.as_object()?, &["state"]).and_then(wire::text)?;
    Some(state.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::tests::kept;
    use super::*;

    #[test]
    fn only_tasks_are_waited_for() {
        let task = |location: &str| {
            let kept = kept(&[("location", location)]);
            task(&Response { status: 204, retry_after: None, kept, body: Default::default() })
        };
        assert_eq!(task("/tasks/2").as_deref(), Some("/tasks/2"));
        assert_eq!(task("tasks/2").as_deref(), Some("/tasks/2"));
        assert_eq!(task("https://luna:8443/tasks/2").as_deref(), Some("/tasks/2"));
        assert_eq!(task("/api/lunasa/hsms/154704/partitions/1682975235230/login/so/3"), None);
        assert_eq!(task("/tasks/2/../../auth"), None);
        assert_eq!(task("/tasks/"), None);
    }
}
