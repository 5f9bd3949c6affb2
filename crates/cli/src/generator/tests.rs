use super::*;
use std::fs;
use std::net::IpAddr;

/// A machine without names, with IPv6.
struct Machine;

impl System for Machine {
    fn addresses_of(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }

    fn has_ipv6(&self) -> bool {
        true
    }
}

/// A directory with a configuration, gone at the end.
struct Fixture(PathBuf);

impl Fixture {
    fn new(test: &str, configuration: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("cli-generator-{test}-{}", std::process::id()));
        fs::create_dir_all(directory.join("units")).unwrap();
        fs::write(directory.join("sshd_config"), configuration).unwrap();
        Self(directory)
    }

    fn run(&self) -> Result<Vec<String>, GeneratorError> {
        let place = Place {
            configuration: self.0.join("sshd_config"),
            units: vec![self.0.join("units")],
        };
        run(&place, &self.0.join("normal"), &Machine)
    }

    fn drop_in(&self) -> PathBuf {
        self.0
            .join("normal/sshd-privsep.socket.d/00-sshd_config.conf")
    }

    /// The part of the drop-in about the socket.
    fn socket_section(&self) -> String {
        let text = fs::read_to_string(self.drop_in()).unwrap();
        text.split_once("[Socket]\n").unwrap().1.to_owned()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_configuration_becomes_listeners() {
    for (configuration, section) in [
        (
            "Port 2222\nPort 22\n",
            "ListenStream=\nListenStream=2222\nListenStream=22\n",
        ),
        (
            "AddressFamily inet\n",
            "ListenStream=\nListenStream=0.0.0.0:22\n",
        ),
        (
            "AddressFamily inet6\n",
            "ListenStream=\nListenStream=[::]:22\nBindIPv6Only=ipv6-only\n",
        ),
        (
            "ListenAddress 192.0.2.1\nListenAddress [2001:db8::1]:2222\n",
            "ListenStream=\nListenStream=192.0.2.1:22\nListenStream=[2001:db8::1]:2222\nFreeBind=yes\n",
        ),
        (
            "ListenAddress 0.0.0.0 rdomain vrf1\nListenAddress :: rdomain vrf1\n",
            "ListenStream=\nListenStream=22\nBindToDevice=vrf1\n",
        ),
        (
            "ListenAddress 0.0.0.0 rdomain vrf1\n",
            "ListenStream=\nListenStream=0.0.0.0:22\nBindToDevice=vrf1\n",
        ),
    ] {
        let fixture = Fixture::new("listeners", configuration);
        assert_eq!(fixture.run().unwrap(), [""; 0]);
        assert_eq!(fixture.socket_section(), section, "{configuration}");
        // What was unfinished is finished.
        assert_eq!(
            fs::read_dir(fixture.drop_in().parent().unwrap())
                .unwrap()
                .count(),
            1
        );
    }
}

#[test]
fn what_the_unit_says_already_is_not_said_again() {
    for configuration in ["", "# Port 2222\n", "Port 22\nAddressFamily any\n"] {
        let fixture = Fixture::new("default", configuration);
        assert_eq!(fixture.run().unwrap(), [""; 0]);
        assert!(!fixture.0.join("normal").exists(), "{configuration}");
    }
}

#[test]
fn errors_elsewhere_in_the_file_close_no_port() {
    let fixture = Fixture::new(
        "errors",
        "Prot 1\nPort 2222\nAllowUsers root\nMatch Usr x\n",
    );
    let remarks = fixture.run().unwrap();
    assert_eq!(
        fixture.socket_section(),
        "ListenStream=\nListenStream=2222\n"
    );
    assert!(
        remarks.len() == 1 && remarks[0].contains("sshd_config:1:1: "),
        "{remarks:?}"
    );
}

#[test]
fn without_a_file_nothing_is_made() {
    let fixture = Fixture::new("missing", "");
    fs::remove_file(fixture.0.join("sshd_config")).unwrap();
    let error = fixture.run().unwrap_err();
    assert!(matches!(error, GeneratorError::Configuration(_)), "{error}");
    assert!(!fixture.0.join("normal").exists());
}

#[test]
fn an_administrators_own_unit_is_left_alone() {
    for own in ["[Socket]\nListenStream=7\n", ""] {
        let fixture = Fixture::new("replaced", "Port 2222\n");
        let unit = fixture.0.join("units/sshd-privsep.socket");
        match own {
            "" => std::os::unix::fs::symlink("/dev/null", unit).unwrap(),
            text => fs::write(unit, text).unwrap(),
        }
        fixture.run().unwrap();
        assert!(!fixture.0.join("normal").exists());
    }
}
