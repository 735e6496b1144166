//! Assigns processor cores to the server and to the load generator.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::error::{At, BenchError};

/// Core numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

/// The cores of the server and of the load generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Cores of the server.
    pub server: Cores,
    /// Cores of the load generator.
    pub generator: Cores,
}

impl Cores {
    /// Returns the cores that this process may use.
    fn allowed() -> Result<Self, BenchError> {
        let set = sched_getaffinity(None).at("asking for the cores")?;
        Ok(Self((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()))
    }

    /// Pins this thread, and the threads and processes that it starts, to these cores.
    ///
    /// # Errors
    ///
    /// If these cores do not exist or may not be used.
    pub fn take(&self) -> Result<(), BenchError> {
        let mut set = CpuSet::new();
        for core in self.0.iter().filter(|core| **core < CpuSet::MAX_CPU) {
            set.set(*core);
        }
        sched_setaffinity(None, &set).at("choosing cores, of which some do not exist")
    }
}

impl Shares {
    /// Splits the available cores into two halves. With only one core both halves are that core.
    ///
    /// # Errors
    ///
    /// If the system does not report its cores.
    pub fn halves() -> Result<Self, BenchError> {
        let Cores(all) = Cores::allowed()?;
        let (server, generator) = all.split_at(all.len() / 2);
        let server = if server.is_empty() { generator } else { server };
        Ok(Self { server: Cores(server.to_vec()), generator: Cores(generator.to_vec()) })
    }
}

impl std::str::FromStr for Cores {
    type Err = String;

    /// Parses numbers and ranges, such as `0,2-3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "name cores by number, for example 0,2-3".to_owned();
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.trim().parse().map_err(|_| wrong())?;
            let last: usize = last.trim().parse().map_err(|_| wrong())?;
            if first > last || last >= CpuSet::MAX_CPU {
                return Err(wrong());
            }
            cores.extend(first..=last);
        }
        Ok(Self(cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_named_by_numbers_and_ranges() {
        assert_eq!("0,2-4".parse(), Ok(Cores(vec![0, 2, 3, 4])));
        for wrong in ["", "a", "3-1", "1,", "99999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_share_has_a_core() {
        let shares = Shares::halves().unwrap();
        assert!(!shares.server.0.is_empty() && !shares.generator.0.is_empty());
    }
}
