//! The head of an HTTP response, byte for byte.

/// The head of a response, up to and including the empty line.
#[derive(Clone, Debug)]
pub struct Head {
    /// The bytes as text.
    pub text: String,
}

impl Head {
    /// Returns the status code.
    pub fn status(&self) -> u16 {
        let digits = self.text.split(' ').nth(1).unwrap_or_default();
        digits.parse().unwrap_or_else(|_| panic!("no status in {:?}", self.text))
    }

    /// Returns the value of a header; case of the name is ignored.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
