//! Tunnels of packets: channels "tun@openssh.com" (OpenSSH PROTOCOL section 2.3).
//!
//! Each SSH_MSG_CHANNEL_DATA is one packet. What that document calls "packet length" is the length of the data: OpenSSH has
//! never sent another one.

/// Bytes before a packet of layer 3.
const FAMILY: usize = 4;

/// SSH_TUN_AF_INET
const INET: u32 = 2;

/// SSH_TUN_AF_INET6, as OpenBSD numbers it.
const INET6: u32 = 24;

/// What a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelMode {
    /// Layer 3: packets of IP.
    PointToPoint,
    /// Layer 2: frames.
    Ethernet,
}

impl TunnelMode {
    /// From SSH_TUNMODE_POINTOPOINT or SSH_TUNMODE_ETHERNET.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::PointToPoint),
            2 => Some(Self::Ethernet),
            _ => None,
        }
    }

    /// How many bytes of the data come before the packet.
    pub fn header_length(self) -> usize {
        match self {
            Self::PointToPoint => FAMILY,
            Self::Ethernet => 0,
        }
    }

    /// What comes before this packet; none if that is nothing.
    pub fn header(self, packet: &[u8]) -> Option<u32> {
        match self {
            // As OpenSSH does: what is not of version 6 counts as version 4.
            Self::PointToPoint => Some(match packet.first() {
                Some(first) if first >> 4 == 6 => INET6,
                Some(_) | None => INET,
            }),
            Self::Ethernet => None,
        }
    }

    /// The packet in the data; none if it has no room for one. The header is not looked at: the packet says the same.
    pub fn packet(self, data: &[u8]) -> Option<&[u8]> {
        data.get(self.header_length()..)
            .filter(|packet| !packet.is_empty())
    }
}

/// Which device of the server's a tunnel is to end at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelDevice {
    /// SSH_TUNID_ANY: one that is free.
    Any,
    /// The one with this number, which is at most [`TunnelDevice::LIMIT`].
    Number(u32),
}

impl TunnelDevice {
    /// SSH_TUNID_MAX of OpenSSH.
    pub const LIMIT: u32 = ANY - 2;

    /// From "remote unit number"; none if there can be no such device.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            ANY => Some(Self::Any),
            0..=Self::LIMIT => Some(Self::Number(code)),
            _ => None,
        }
    }
}

/// SSH_TUNID_ANY
const ANY: u32 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_after_its_family_and_a_frame_after_nothing() {
        let (three, two) = (TunnelMode::PointToPoint, TunnelMode::Ethernet);
        assert_eq!(three.header(&[0x45, 0]), Some(2));
        assert_eq!(three.header(&[0x60, 0]), Some(24));
        assert_eq!(two.header(&[0x60, 0]), None);
        assert_eq!(three.packet(&[0, 0, 0, 2, 0x45]), Some(&[0x45][..]));
        assert_eq!(two.packet(&[0, 0, 0, 2]), Some(&[0, 0, 0, 2][..]));
    }

    #[test]
    fn data_without_a_packet_has_none() {
        for mode in [TunnelMode::PointToPoint, TunnelMode::Ethernet] {
            assert_eq!(mode.packet(&[]), None);
        }
        for length in 1..=4 {
            let data = [0, 0, 0, 2];
            assert_eq!(TunnelMode::PointToPoint.packet(&data[..length]), None);
        }
    }

    #[test]
    fn modes_and_devices_are_those_of_openssh() {
        assert_eq!(TunnelMode::from_code(0), None);
        // SSH_TUNMODE_YES is no mode of a channel.
        assert_eq!(TunnelMode::from_code(3), None);
        assert_eq!(TunnelDevice::from_code(ANY), Some(TunnelDevice::Any));
        assert_eq!(
            TunnelDevice::from_code(TunnelDevice::LIMIT),
            Some(TunnelDevice::Number(TunnelDevice::LIMIT))
        );
        for code in [ANY - 1, ANY + 1, u32::MAX] {
            assert_eq!(TunnelDevice::from_code(code), None);
        }
    }
}
