//! How deep a YAML text is nested, found out before it is parsed.

/// Levels that an honest file does not reach.
const DEPTH_MAX: usize = 32;

/// The line on which a text becomes too deep, counted from 1.
///
/// Brackets count wherever they stand, so a text with dozens of them open inside quotes is refused
/// too: that is no loss in a file of keys.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (line, text) in (1..).zip(text.lines()) {
        let indent = text.len() - text.trim_start().len();
        let dashes = text.split(' ').take_while(|word| matches!(*word, "" | "-" | "?")).count();
        if indent > 8 * DEPTH_MAX || dashes > 8 * DEPTH_MAX {
            return Some(line);
        }
        for letter in text.chars() {
            match letter {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEPTH_MAX {
                return Some(line);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_found_in_every_shape() {
        assert_eq!(too_deep("a: [1]\nb: {c: [2]}\n"), None);
        assert_eq!(too_deep(&format!("a: 1\nb: {}", "[".repeat(33))), Some(2));
        assert_eq!(too_deep(&"- ".repeat(10_000)), Some(1));
        let stairs: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(too_deep(&stairs).is_some());
    }
}
