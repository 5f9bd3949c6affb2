//! Links the process with libpam, and with libcrypt for passwords that PAM does not judge.

fn main() {
    println!("cargo::rustc-link-lib=pam");
    println!("cargo::rustc-link-lib=crypt");
    println!("cargo::rerun-if-changed=build.rs");
}
