//! Sessions of operators. They are in memory only, as digests of their tokens.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::auth::{Operator, Operators, TokenDigest};
use crate::types::Secret;
use crate::types::limits::{OPERATOR_SESSION_IDLE, OPERATOR_SESSION_TIME, OPERATOR_SESSIONS_MAX};

/// Beginning of the token of a session.
pub(super) const SESSION_TOKEN_PREFIX: &str = "tcs_";

/// All sessions.
#[derive(Debug, Default)]
pub(in crate::api) struct Sessions {
    by_token: HashMap<TokenDigest, OperatorSession>,
}

#[derive(Debug)]
struct OperatorSession {
    name: Box<str>,
    /// The hash of the password at the login. Another password ends the session.
    password: Secret,
    began: Instant,
    used: Instant,
}

impl OperatorSession {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= OPERATOR_SESSION_TIME
            || now.duration_since(self.used) >= OPERATOR_SESSION_IDLE
    }

    /// Returns the operator, unless the session is over or the password has changed.
    fn operator<'a>(&self, operators: &'a Operators, now: Instant) -> Option<&'a Operator> {
        let operator = operators.named(&self.name);
        operator.filter(|it| it.password.as_ref() == Some(&self.password) && !self.is_over(now))
    }
}

impl Sessions {
    /// Adds a session of an operator who has just shown this password.
    pub(super) fn begin(
        &mut self,
        token: TokenDigest,
        operator: &Operator,
        password: Secret,
        now: Instant,
    ) {
        self.by_token.retain(|_, session| !session.is_over(now));
        let own = || self.by_token.iter().filter(|(_, it)| *it.name == *operator.name);
        if own().count() >= OPERATOR_SESSIONS_MAX
            && let Some(oldest) = own().min_by_key(|(_, it)| it.used).map(|(token, _)| *token)
        {
            self.by_token.remove(&oldest);
        }
        let session = OperatorSession {
            name: operator.name.as_str().into(),
            password,
            began: now,
            used: now,
        };
        self.by_token.insert(token, session);
    }

    /// Returns the operator of a session, which is used now.
    pub(super) fn operator<'a>(
        &mut self,
        token: TokenDigest,
        operators: &'a Operators,
        now: Instant,
    ) -> Option<&'a Operator> {
        let session = self.by_token.get_mut(&token)?;
        let operator = session.operator(operators, now);
        match operator {
            Some(_) => session.used = now,
            None => drop(self.by_token.remove(&token)),
        }
        operator
    }

    /// Returns the operator of a session, without using it.
    pub(in crate::api) fn valid<'a>(
        &self,
        token: TokenDigest,
        operators: &'a Operators,
        now: Instant,
    ) -> Option<&'a Operator> {
        let session = self.by_token.get(&token)?;
        session.operator(operators, now)
    }

    /// Returns how long a session may last.
    pub(super) fn rest(&self, token: TokenDigest, now: Instant) -> Option<u64> {
        let session = self.by_token.get(&token)?;
        let rest = OPERATOR_SESSION_TIME.saturating_sub(now.duration_since(session.began));
        Some(rest.as_secs())
    }

    /// Ends a session.
    pub(super) fn end(&mut self, token: TokenDigest) {
        self.by_token.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::OperatorRole;
    use std::time::Duration;

    fn operator(password: &str) -> Operator {
        Operator {
            name: "anna".to_owned(),
            role: OperatorRole::Operator,
            password: Some(Secret::new(password.to_owned())),
            token: None,
            applications: None,
            payloads: false,
        }
    }

    fn token(number: u32) -> TokenDigest {
        TokenDigest::of(&number.to_be_bytes())
    }

    #[test]
    fn a_session_ends_unused_after_an_hour_and_in_any_case_after_twelve() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let operators = Operators { list: vec![operator("a")] };
        let anna = &operators.list[0];
        let password = || anna.password.clone().unwrap();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        sessions.begin(token(1), anna, password(), start);
        for minute in (0..720).step_by(59) {
            assert!(sessions.operator(token(1), &operators, minutes(minute)).is_some());
        }
        assert!(sessions.operator(token(1), &operators, minutes(720)).is_none());
        sessions.begin(token(2), anna, password(), start);
        assert!(sessions.operator(token(2), &operators, minutes(60)).is_none());
        assert!(sessions.operator(token(2), &operators, minutes(1)).is_none(), "it is gone");
    }

    #[test]
    fn another_password_and_the_end_of_an_operator_end_sessions() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let operators = Operators { list: vec![operator("a")] };
        let anna = &operators.list[0];
        for number in 1..=3 {
            sessions.begin(token(number), anna, anna.password.clone().unwrap(), start);
        }
        let changed = Operators { list: vec![operator("b")] };
        assert!(sessions.operator(token(1), &changed, start).is_none());
        assert!(sessions.operator(token(2), &Operators::default(), start).is_none());
        sessions.end(token(3));
        assert!(sessions.operator(token(3), &operators, start).is_none());
        for number in 10..=42 {
            let now = start + Duration::from_secs(number.into());
            sessions.begin(token(number), anna, anna.password.clone().unwrap(), now);
        }
        assert_eq!(sessions.by_token.len(), OPERATOR_SESSIONS_MAX);
        assert!(
            sessions.operator(token(10), &operators, start + Duration::from_secs(50)).is_none()
        );
    }
}
