//! What takes longer than an answer may: tasks (section 6).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::State;
use super::access::Caller;
use super::exchange::{Exchange, Nothing};
use super::refusal::{Answer, Refusal};
use super::roles::Proof;
use super::sessions::Place;
use super::settings::{Locations, Settings};
use crate::securosys::time;
use crate::vendor::Reply;

/// What is to be done.
pub(super) enum Work {
    Login {
        session: String,
        place: Place,
        role: &'static str,
        /// `None`: a key at the PIN entry device.
        password: Option<Zeroizing<String>>,
    },
    Zeroize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until it is started.
    Waiting,
    Running,
    Finished,
    Error,
}

struct Task {
    user: String,
    /// The path of the call that made it.
    source: String,
    /// Milliseconds since 1970-01-01 UTC, as the other.
    started: i64,
    finished: i64,
    stage: Stage,
    /// `None` once it is done.
    work: Option<Work>,
    response: Option<Reply>,
}

/// What whoever stands at the PIN entry device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ped {
    /// Shows the right key.
    #[default]
    Accept,
    /// Shows a wrong one.
    Refuse,
    /// Nothing, yet.
    Wait,
}

/// All of them.
#[derive(Default)]
pub(super) struct Tasks {
    all: BTreeMap<u64, Task>,
    last: u64,
    pub(super) ped: Ped,
}

impl Tasks {
    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }
}

impl State {
    /// Does what is due.
    pub(super) fn run_tasks(&mut self, now: i64, settings: &Settings) {
        let pause = i64::try_from(settings.task_ms).unwrap_or(i64::MAX);
        let at_device = |task: &Task| matches!(task.work, Some(Work::Login { password: None, .. }));
        let ped = self.tasks.ped;
        let is_due = |task: &Task| {
            task.stage == Stage::Running
                && now.saturating_sub(task.started) >= pause
                && !(ped == Ped::Wait && at_device(task))
        };
        let due: Vec<u64> =
            self.tasks.all.iter().filter(|(_, task)| is_due(task)).map(|(id, _)| *id).collect();
        for id in due {
            let Some(work) = self.tasks.all.get_mut(&id).and_then(|task| task.work.take()) else { continue };
            let outcome = self.run(work, settings);
            if let Some(task) = self.tasks.all.get_mut(&id) {
                task.finished = now;
                task.stage = if outcome.is_ok() { Stage::Finished } else { Stage::Error };
                task.response = Some(outcome.unwrap_or_else(Refusal::into_reply));
            }
        }
    }

    fn run(&mut self, work: Work, settings: &Settings) -> Answer {
        match work {
            Work::Login { session, place, role, password } => {
                let proof = password.map_or(Proof::Ped(self.tasks.ped == Ped::Accept), Proof::Password);
                self.attempt(&session, &place, role, &proof, settings)
            }
            Work::Zeroize => {
                self.hsm.zeroize();
                self.sessions.forget_logins(|_, _| true);
                Ok(Reply::empty(204))
            }
        }
    }
}

impl Task {
    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Finished | Stage::Error)
    }

    fn to_json(&self, id: u64, settings: &Settings) -> Value {
        let state = format!("{:?}", self.stage);
        let time = |milliseconds: i64| time::iso(u64::try_from(milliseconds / 1000).unwrap_or_default());
        json!({
            "instance": format!("/tasks/{id}"),
            "state": if settings.upper_states { state.to_uppercase() } else { state },
            "sourceUrl": self.source,
            "responseUrl": format!("/tasks/{id}/response"),
            "startTime": time(self.started),
            "finishTime": if self.is_done() { time(self.finished) } else { String::new() },
            "details": "",
        })
    }
}

impl Exchange<'_> {
    /// The answer to a call that becomes a task.
    pub(super) fn begin(&mut self, caller: &Caller, work: Work) -> Reply {
        let stage = if matches!(work, Work::Zeroize) { Stage::Waiting } else { Stage::Running };
        let task = Task {
            user: caller.user.clone(),
            source: self.request.path.clone(),
            started: self.now,
            finished: 0,
            stage,
            work: Some(work),
            response: None,
        };
        let tasks = &mut self.state.tasks;
        tasks.last += 1;
        tasks.all.insert(tasks.last, task);
        let path = format!("tasks/{}", tasks.last);
        let location = match self.settings.locations {
            Locations::Path => format!("/{path}"),
            Locations::Bare => path,
            Locations::Absolute => {
                format!("https://{}/{path}", self.request.header("host").unwrap_or("localhost"))
            }
        };
        Reply { headers: vec![("location", location)], ..Reply::empty(204) }
    }

    /// `POST …/actions/{action}` of the HSM: what destroys begins as a waiting task.
    pub(super) fn hsm_action(&mut self, caller: &Caller) -> Answer {
        self.place()?;
        let Nothing {} = self.optional_body()?;
        self.private(caller)?;
        match self.parameter(1) {
            "zeroize" | "factoryReset" => Ok(self.begin(caller, Work::Zeroize)),
            "stmTransport" | "stmRecover" => Err(Refusal::not_supported("It is not emulated.")),
            _ => Err(Refusal::no_action()),
        }
    }

    pub(super) fn tasks(&self, caller: &Caller) -> Answer {
        let own = self.state.tasks.all.iter().filter(|(_, task)| task.user == caller.user);
        self.listing("tasks", own.map(|(id, task)| task.to_json(*id, self.settings)).collect())
    }

    /// The task that the path names.
    fn named(&self, caller: &Caller) -> Answer<(u64, &Task)> {
        let id = self.parameter(0).parse().map_err(|_| Refusal::bad("The id of a task is a number."))?;
        let task = self.state.tasks.all.get(&id).filter(|task| task.user == caller.user);
        Ok((id, task.ok_or_else(Refusal::no_task)?))
    }

    /// 200 as long as it is not finished, then 303.
    pub(super) fn task(&self, caller: &Caller) -> Answer {
        let (id, task) = self.named(caller)?;
        let body = task.to_json(id, self.settings);
        if !task.is_done() {
            return Ok(Reply::json(200, &body));
        }
        let mut reply = Reply::json(303, &body);
        reply.headers.push(("location", format!("/tasks/{id}/response")));
        Ok(reply)
    }

    pub(super) fn task_response(&self, caller: &Caller) -> Answer {
        let (_, task) = self.named(caller)?;
        task.response.clone().ok_or_else(|| Refusal::bad("The task is not finished."))
    }

    pub(super) fn task_actions(&self, caller: &Caller) -> Answer {
        let (id, task) = self.named(caller)?;
        let start = json!({ "id": "start", "url": format!("/tasks/{id}/actions/start") });
        let actions = if task.stage == Stage::Waiting { vec![start] } else { Vec::new() };
        self.listing("actions", actions)
    }

    pub(super) fn task_action(&mut self, caller: &Caller) -> Answer {
        let (id, task) = self.named(caller)?;
        let Nothing {} = self.optional_body()?;
        if self.parameter(1) != "start" {
            return Err(Refusal::no_action());
        }
        if task.stage != Stage::Waiting {
            return Err(Refusal::operation("The task does not wait."));
        }
        if let Some(task) = self.state.tasks.all.get_mut(&id) {
            (task.stage, task.started) = (Stage::Running, self.now);
        }
        Ok(Reply::empty(204))
    }
}
