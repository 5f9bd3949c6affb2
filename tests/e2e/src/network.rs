//! A host beside the server's.

/// Makes a network namespace `client`, address 192.0.2.2, with a link to the server, whose address there is 192.0.2.1.
/// The link is named `server` on the server's side.
pub const CLIENT_HOST: &str = "\
ip netns add client
ip link add server type veth peer name client netns client
ip address add 192.0.2.1/24 dev server
ip link set server up
ip -n client address add 192.0.2.2/24 dev client
ip -n client link set client up
ip -n client link set lo up
";
