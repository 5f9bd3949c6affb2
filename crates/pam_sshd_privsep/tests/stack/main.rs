//! The module in a real PAM stack: libpam loads the shared object that was just built, by a service file of the test.

#[cfg(test)]
mod application;

use std::os::unix::net::UnixDatagram;

use application::{
    Application, PAM_ACCT_EXPIRED, PAM_RHOST, PAM_SESSION_ERR, PAM_SUCCESS, PAM_SYSTEM_ERR, PAM_TTY,
};

#[test]
fn variables_become_items_and_disappear() {
    let pam = Application::start("items");
    pam.put(c"SSHD_PRIVSEP_RHOST=203.0.113.9");
    pam.put(c"SSHD_PRIVSEP_TTY=ssh");
    pam.put(c"EDITOR=ed");
    assert_eq!(pam.open(), PAM_SUCCESS);
    assert_eq!(pam.item(PAM_RHOST).as_deref(), Some("203.0.113.9"));
    assert_eq!(pam.item(PAM_TTY).as_deref(), Some("ssh"));
    assert_eq!(pam.variable(c"SSHD_PRIVSEP_RHOST"), None);
    assert_eq!(pam.variable(c"SSHD_PRIVSEP_TTY"), None);
    assert_eq!(pam.variable(c"EDITOR").as_deref(), Some("ed"));
    assert_eq!(pam.close(), PAM_SUCCESS);
}

#[test]
fn what_systemd_tells_every_unit_is_not_taken_for_the_users() {
    let pam = Application::start("systemds");
    pam.put(c"LANG=C.UTF-8");
    pam.put(c"LC_TIME=C");
    pam.put(c"PATH=/usr/bin");
    assert_eq!(pam.open(), PAM_SUCCESS);
    for name in [c"LANG", c"LC_TIME", c"PATH"] {
        assert_eq!(pam.variable(name), None);
    }
}

#[test]
fn a_greeting_is_left_to_the_session() {
    let pam = Application::start("greeting");
    assert_eq!(pam.open(), PAM_SUCCESS);
    let words = pam.variable(c"SSHD_PRIVSEP_WORDS");
    assert_eq!(words.as_deref(), Some("welcome\nback\n"));
    assert_eq!(pam.variable(c"GREETED").as_deref(), Some("yes"));
}

#[test]
fn items_are_there_from_the_account_stack_on() {
    let pam = Application::start("account");
    pam.put(c"SSHD_PRIVSEP_RHOST=2001:db8::1");
    assert_eq!(pam.account(), PAM_SUCCESS);
    assert_eq!(pam.item(PAM_RHOST).as_deref(), Some("2001:db8::1"));
    assert_eq!(pam.open(), PAM_SUCCESS);
    assert_eq!(pam.item(PAM_RHOST).as_deref(), Some("2001:db8::1"));
}

#[test]
fn a_session_without_origin_opens_and_has_none() {
    let pam = Application::start("none");
    assert_eq!(pam.account(), PAM_SUCCESS);
    assert_eq!(pam.open(), PAM_SUCCESS);
    assert_eq!(pam.item(PAM_RHOST), None);
}

#[test]
fn a_forged_origin_fails_the_session_and_is_not_inherited() {
    let pam = Application::start("forged");
    pam.put(c"SSHD_PRIVSEP_RHOST=192.0.2.1 port 22 ssh2\nAccepted");
    assert_eq!(pam.open(), PAM_SESSION_ERR);
    assert_eq!(pam.item(PAM_RHOST), None);
    assert_eq!(pam.variable(c"SSHD_PRIVSEP_RHOST"), None);
}

#[test]
fn limits_become_data_for_pam_systemd_and_disappear() {
    let pam = Application::start("limits");
    pam.put(c"SSHD_PRIVSEP_MEMORY_MAX=104857600");
    pam.put(c"SSHD_PRIVSEP_TASKS_MAX=50");
    pam.put(c"SSHD_PRIVSEP_CPU_WEIGHT=7");
    pam.put(c"SSHD_PRIVSEP_IO_WEIGHT=8");
    assert_eq!(pam.account(), PAM_SUCCESS);
    pam.put(c"SSHD_PRIVSEP_IO_WEIGHT=9");
    assert_eq!(pam.open(), PAM_SUCCESS);
    let found = pam.data();
    let expected = [
        ("cpu_weight", "7"),
        ("io_weight", "9"),
        ("memory_max", "104857600"),
        ("tasks_max", "50"),
    ];
    assert_eq!(
        found,
        expected.map(|(name, value)| (name, value.to_owned()))
    );
    for name in [
        c"SSHD_PRIVSEP_MEMORY_MAX",
        c"SSHD_PRIVSEP_TASKS_MAX",
        c"SSHD_PRIVSEP_CPU_WEIGHT",
        c"SSHD_PRIVSEP_IO_WEIGHT",
    ] {
        assert_eq!(pam.variable(name), None);
    }
}

#[test]
fn a_limit_that_pam_systemd_would_skip_fails_the_session() {
    let pam = Application::start("skipped");
    pam.put(c"SSHD_PRIVSEP_RUNTIME_MAX_SEC=soon");
    assert_eq!(pam.open(), PAM_SESSION_ERR);
    assert_eq!(pam.variable(c"SSHD_PRIVSEP_RUNTIME_MAX_SEC"), None);
}

#[test]
fn the_service_that_judges_is_asked_and_its_answer_is_the_stacks() {
    for (service, answer) in [
        (c"SSHD_PRIVSEP_ACCOUNT=permits", PAM_SUCCESS),
        (c"SSHD_PRIVSEP_ACCOUNT=refuses", PAM_ACCT_EXPIRED),
        // The very stack that asks: without the variable, the modules below ours judge.
        (c"SSHD_PRIVSEP_ACCOUNT=stack", PAM_SUCCESS),
        (c"SSHD_PRIVSEP_ACCOUNT=-", PAM_SUCCESS),
        (c"SSHD_PRIVSEP_ACCOUNT=../permits", PAM_SYSTEM_ERR),
    ] {
        let pam = Application::start("judges");
        pam.put(service);
        assert_eq!(pam.account(), answer, "{service:?}");
        assert_eq!(pam.variable(c"SSHD_PRIVSEP_ACCOUNT"), None);
        assert_eq!(pam.variable(c"SSHD_PRIVSEP_PASSWORD"), None);
    }
}

#[test]
fn what_the_service_that_judges_says_is_left_for_the_session() {
    let pam = Application::start("talks");
    pam.put(c"SSHD_PRIVSEP_ACCOUNT=talks");
    assert_eq!(pam.account(), PAM_SUCCESS);
    assert_eq!(
        pam.variable(c"SSHD_PRIVSEP_SAID").as_deref(),
        Some("the disk is\nfull of nobody\n")
    );
    let pam = Application::start("silent");
    pam.put(c"SSHD_PRIVSEP_ACCOUNT=permits");
    assert_eq!(pam.account(), PAM_SUCCESS);
    assert_eq!(pam.variable(c"SSHD_PRIVSEP_SAID"), None);
}

#[test]
fn the_service_that_judges_knows_who_comes_from_where() {
    for (host, permitted) in [
        (c"SSHD_PRIVSEP_RHOST=203.0.113.9", true),
        (c"SSHD_PRIVSEP_RHOST=203.0.113.8", false),
    ] {
        let pam = Application::start("whence");
        pam.put(host);
        pam.put(c"SSHD_PRIVSEP_TTY=ssh");
        pam.put(c"SSHD_PRIVSEP_ACCOUNT=knows-whence");
        assert_eq!(pam.account() == PAM_SUCCESS, permitted);
    }
}

#[test]
fn an_expired_password_is_for_the_session_to_change() {
    let pam = Application::start("expired");
    pam.put(c"SSHD_PRIVSEP_ACCOUNT=wants-a-new-password");
    assert_eq!(pam.account(), PAM_SUCCESS);
    assert_eq!(
        pam.variable(c"SSHD_PRIVSEP_PASSWORD").as_deref(),
        Some("expired")
    );
}

#[test]
fn how_the_user_was_authenticated_comes_from_standard_input() {
    let (monitor, unit) = UnixDatagram::pair().unwrap();
    unit.set_nonblocking(true).unwrap();
    application::become_stdin(&unit);
    for (datagrams, answer) in [
        (
            &[
                &b"SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA\npassword\n"[..],
                b"start",
            ][..],
            PAM_SUCCESS,
        ),
        (&[b"start"], PAM_SYSTEM_ERR),
        (&[b"PATH=/x"], PAM_SYSTEM_ERR),
        (&[b"SSH_AUTH_INFO_0=\0"], PAM_SYSTEM_ERR),
        (&[], PAM_SYSTEM_ERR),
    ] {
        for datagram in datagrams {
            monitor.send(datagram).unwrap();
        }
        let pam = Application::start("authenticated");
        pam.put(c"SSHD_PRIVSEP_AUTH_INFO=stdin");
        pam.put(c"SSHD_PRIVSEP_ACCOUNT=-");
        assert_eq!(pam.account(), answer);
        assert_eq!(pam.variable(c"SSHD_PRIVSEP_AUTH_INFO"), None);
        let expected = (answer == PAM_SUCCESS).then_some("publickey ssh-ed25519 AAAA\npassword\n");
        assert_eq!(pam.variable(c"SSH_AUTH_INFO_0").as_deref(), expected);
        if answer == PAM_SUCCESS {
            // It is there for the modules of the session too, and what is the program's is left to it.
            assert_eq!(pam.open(), PAM_SUCCESS);
            let mut rest = [0; 16];
            assert_eq!(unit.recv(&mut rest).unwrap(), 5);
        }
    }
}

#[test]
fn a_session_whose_account_nobody_judged_fails() {
    let pam = Application::start("forgotten");
    pam.put(c"SSHD_PRIVSEP_ACCOUNT=permits");
    assert_eq!(pam.open(), PAM_SESSION_ERR);
}
