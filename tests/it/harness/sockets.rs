//! Finds the process that holds the server's end of a connection.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// `SOCK_DIAG_BY_FAMILY`, followed by `NLM_F_REQUEST`.
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const TCP: u8 = 6;

/// Length of a netlink header, followed by the offset of the inode in the message after it.
const HEADER: usize = 16;
const INODE: usize = HEADER + 68;

/// The two ends of a connection from the server's point of view.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Address of the server.
    pub local: SocketAddr,
    /// Address of the client.
    pub remote: SocketAddr,
}

/// Returns the process among `candidates` that holds the server's end of this connection.
pub fn holder_of_connection(ends: Ends, candidates: &[u32]) -> Option<u32> {
    let inode = asked_of_the_kernel(ends).unwrap_or_else(|| found_in_the_table(ends));
    // A connection that is not accepted yet has no inode.
    let wanted = format!("socket:[{}]", inode.filter(|inode| *inode != 0)?);
    candidates.iter().copied().find(|pid| holds(*pid, &wanted))
}

/// Returns the inode, by a netlink query for this one socket. The outer None means that the kernel
/// does not support such queries. Reading the table instead takes milliseconds, because the kernel
/// walks its whole hash table of sockets.
fn asked_of_the_kernel(ends: Ends) -> Option<Option<u64>> {
    let (local, remote) = (of_version_4(ends.local)?, of_version_4(ends.remote)?);
    let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::NETLINK, kind, flags, Some(SOCK_DIAG)).ok()?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &question(local, remote), SendFlags::empty(), &kernel).ok()?;
    let mut answer = [0; 4096];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty()).ok()?;
    let number = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap());
    if answer[4..6] == BY_FAMILY.to_ne_bytes() && length >= INODE + 4 {
        return Some(Some(number(INODE).into()));
    }
    // Any other message is an error. ENOENT means that there is no such socket.
    let is_absent = number(HEADER) == Errno::NOENT.raw_os_error().wrapping_neg().cast_unsigned();
    is_absent.then_some(None)
}

fn of_version_4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    }
}

/// Builds the query (`nlmsghdr`, `inet_diag_req_v2`) for one socket by its two addresses, in any
/// state, without a cookie.
fn question(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let address = |ip: &Ipv4Addr| [&ip.octets()[..], &[0; 12]].concat();
    let body = [
        &[AF_INET, TCP, 0, 0][..],
        &u32::MAX.to_ne_bytes(),
        &local.port().to_be_bytes(),
        &remote.port().to_be_bytes(),
        &address(local.ip()),
        &address(remote.ip()),
        &[0; 4],
        &[0xFF; 8],
    ]
    .concat();
    let length = u32::try_from(HEADER + body.len()).unwrap();
    let header = [&length.to_ne_bytes()[..], &BY_FAMILY.to_ne_bytes(), &REQUEST.to_ne_bytes()];
    [&header.concat(), &[0; 8][..], &body].concat()
}

/// Finds the inode in `/proc/net/tcp`, if the kernel does not support the query. A line has the
/// local address, the remote address, seven other fields and the inode.
fn found_in_the_table(ends: Ends) -> Option<u64> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let [local, remote] = [ends.local, ends.remote].map(|end| format!(":{:04X}", end.port()));
    let line = table.lines().find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|field| field.ends_with(&local))
            && fields.next().is_some_and(|field| field.ends_with(&remote))
    })?;
    line.split_whitespace().nth(9)?.parse().ok()
}

fn holds(pid: u32, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.to_str() == Some(wanted))
}
