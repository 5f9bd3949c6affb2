//! A command as a unit: started, waited for, and asked how it ended.
//!
//! What is sent here is what the monitor alone knows; the policy is in
//! `sshd-privsep-command-.service.d/10-vendor.conf`. Its `Type=oneshot` makes the end of the command
//! the end of the unit's start job, which systemd announces to who asked for it.

use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;

use tokio::select;
use tokio::time::timeout;
use zbus::export::futures_core::Stream;
use zbus::message::Type;
use zbus::{Fd, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant};

use super::{CALL_DEADLINE, MANAGER, MANAGER_PATH, SYSTEMD, StartError, Systemd, unless_gone};

/// A command of the configuration to run.
#[derive(Debug)]
pub struct CommandUnit {
    /// The unit's name: `sshd-privsep-command-` and what nobody else has.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who runs it.
    pub user: CommandUser,
    /// The program, by its path.
    pub program: String,
    /// Its arguments: to be passed as they are.
    pub arguments: Vec<String>,
    /// Standard output.
    pub stdout: OwnedFd,
}

/// Who runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandUser {
    /// The account with this login name, for `User=`.
    Login(String),
    /// A user that is there as long as the command, `DynamicUser=`.
    OfItsOwn,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// With this status. That of a program that could not be run at all is in systemd.exec(5).
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was stopped before it ended, or systemd could not start it.
    Stopped,
}

/// CLD_EXITED of waitid(2), as ExecMainCode has it.
const EXITED: i32 = 1;
/// CLD_KILLED and CLD_DUMPED.
const SIGNALLED: [i32; 2] = [2, 3];

impl Systemd {
    /// See [`run_command`](super::ServiceManager::run_command).
    pub(super) async fn run(
        &self,
        unit: CommandUnit,
        enough: impl Future<Output = ()> + Send,
    ) -> Result<CommandEnd, StartError> {
        let name = unit.name.clone();
        let mut jobs = self.jobs_of(&name).await?;
        self.start(unit).await?;
        let end = select! {
            ended = next(&mut jobs) => match ended?.result.as_str() {
                "done" => Ok(CommandEnd::Exited(0)),
                _ => self.end_of(&name).await,
            },
            () = enough => self.stop_and_wait(&name, &mut jobs).await.map(|()| CommandEnd::Stopped),
        };
        // systemd forgets the unit only now; by itself, when this connection to the bus ends.
        unless_gone(self.call("UnrefUnit", &(&name,)).await)?;
        end
    }

    /// Stops a unit and waits until nothing of it runs.
    async fn stop_and_wait(&self, unit: &str, jobs: &mut MessageStream) -> Result<(), StartError> {
        let body = (unit, "replace");
        let reply = match self.request(MANAGER_PATH, MANAGER, "StopUnit", &body).await {
            Ok(reply) => reply,
            Err(error) => return unless_gone(Err(error)),
        };
        let stop: OwnedObjectPath = reply.body().deserialize().map_err(StartError::Bus)?;
        // The job that is cancelled by it is announced first.
        let stopped = async {
            while next(jobs).await?.job != stop {}
            Ok(())
        };
        timeout(CALL_DEADLINE, stopped)
            .await
            .unwrap_or(Err(StartError::Deadline))
    }

    /// The ends of a unit's jobs, from now on.
    async fn jobs_of(&self, unit: &str) -> Result<MessageStream, StartError> {
        let bus = self.bus().await?;
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)
            .path(MANAGER_PATH)
            .interface(MANAGER)
            .member("JobRemoved")
            .arg(2, unit)
            .build()
            .map_err(StartError::Bus)?;
        let jobs = MessageStream::for_match_rule(rule, &bus, None);
        timeout(CALL_DEADLINE, jobs)
            .await
            .map_err(|_elapsed| StartError::Deadline)?
            .map_err(StartError::Bus)
    }

    async fn start(&self, unit: CommandUnit) -> Result<(), StartError> {
        let mut words = vec![unit.program.clone()];
        words.extend(unit.arguments);
        // Without this flag `$NAME` and `${NAME}` in an argument, which a stranger may have chosen,
        // would be replaced from the environment.
        let program = vec![(unit.program, words, vec!["no-env-expand"])];
        let properties = vec![
            ("Description", Variant::from(unit.description)),
            match unit.user {
                CommandUser::Login(name) => ("User", Variant::from(name)),
                CommandUser::OfItsOwn => ("DynamicUser", Variant::from(true)),
            },
            ("ExecStartEx", Variant::from(program)),
            (
                "StandardOutputFileDescriptor",
                Variant::Fd(Fd::from(unit.stdout.as_fd())),
            ),
            // Kept until it has been asked how it ended.
            ("AddRef", Variant::from(true)),
        ];
        let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let body = (unit.name, "fail", properties, auxiliary);
        self.call("StartTransientUnit", &body).await
    }

    /// How the program of a unit that failed ended.
    async fn end_of(&self, unit: &str) -> Result<CommandEnd, StartError> {
        let reply = self
            .request(MANAGER_PATH, MANAGER, "GetUnit", &(unit,))
            .await?;
        let path: OwnedObjectPath = reply.body().deserialize().map_err(StartError::Bus)?;
        let code = self.property(path.as_str(), "ExecMainCode").await?;
        let status = self.property(path.as_str(), "ExecMainStatus").await?;
        Ok(match code {
            EXITED if status != 0 => CommandEnd::Exited(status),
            code if SIGNALLED.contains(&code) => CommandEnd::Killed(status),
            _ => CommandEnd::Stopped,
        })
    }

    /// A number of a unit's service.
    async fn property(&self, path: &str, name: &str) -> Result<i32, StartError> {
        let body = ("org.freedesktop.systemd1.Service", name);
        let reply = self
            .request(path, "org.freedesktop.DBus.Properties", "Get", &body)
            .await?;
        let value: OwnedVariant = reply.body().deserialize().map_err(StartError::Bus)?;
        i32::try_from(value).map_err(StartError::Bus)
    }
}

/// The end of a job.
struct Ended {
    job: OwnedObjectPath,
    result: String,
}

/// Waits for the end of the next job.
async fn next(jobs: &mut MessageStream) -> Result<Ended, StartError> {
    let message = poll_fn(|context| Pin::new(&mut *jobs).poll_next(context)).await;
    // The stream ends with the connection to the bus.
    let message = message.ok_or(StartError::Lost)?.map_err(StartError::Bus)?;
    let (_id, job, _unit, result): (u32, OwnedObjectPath, String, String) =
        message.body().deserialize().map_err(StartError::Bus)?;
    Ok(Ended { job, result })
}
