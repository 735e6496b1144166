//! The table of targets in a Markdown file.

use std::fs;
use std::path::Path;

use super::Row;
use crate::bench::error::{At, BenchError};

/// Markers around the table in a file. The text between them is replaced.
const BEGIN: &str = "<!-- table of targets: written by `tagcast bench targets --write` -->";
const END: &str = "<!-- end of the table of targets -->";

/// Returns the table in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| target | what | limit | figure | of the limit | command | date |\n\
         | --- | --- | --- | --- | ---: | --- | --- |\n",
    );
    for row in rows {
        let Row { target, what, limit, figure, ratio_to_limit, command, date, is_clean } = row;
        let lost = if *is_clean { "" } else { " **LOST OR OUT OF ORDER**" };
        text += &format!(
            "| {target} | {what} | {limit} | {figure}{lost} | {ratio_to_limit:.2} | `{command}` | {date} |\n"
        );
    }
    text
}

/// Replaces the table in a file. Rows of targets that were not measured stay.
///
/// # Errors
///
/// If the file cannot be read or written, or has no markers for the table.
pub fn write_table(file: &Path, rows: &[Row]) -> Result<(), BenchError> {
    let text = fs::read_to_string(file).at("reading the file with the table")?;
    let Some(replaced) = replaced(&text, rows) else {
        return Err(BenchError::Plan(format!(
            "{} has no lines `{BEGIN}` and `{END}` for the table",
            file.display()
        )));
    };
    fs::write(file, replaced).at("writing the file with the table")
}

fn replaced(text: &str, rows: &[Row]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let is_new =
        |line: &&str| rows.iter().any(|row| line.starts_with(&format!("| {} |", row.target)));
    let mut lines: Vec<String> = old
        .lines()
        .filter(|line| line.starts_with("| T"))
        .filter(|line| !is_new(line))
        .map(str::to_owned)
        .collect();
    let new = table(rows);
    let (head, body): (Vec<_>, Vec<_>) = new.lines().partition(|line| !line.starts_with("| T"));
    lines.extend(body.into_iter().map(str::to_owned));
    // Sort by number, so that T2 precedes T10. The rows of one target keep their order.
    lines.sort_by_key(|line| number_of(line));
    let table = [head.join("\n"), lines.join("\n")].join("\n");
    Some(format!("{before}{BEGIN}\n\n{table}\n\n{END}{after}"))
}

fn number_of(line: &str) -> u32 {
    let digits: String = line.chars().skip(3).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: &str, figure: &str) -> Row {
        Row {
            target: target.to_owned(),
            what: "what".to_owned(),
            limit: "1".to_owned(),
            figure: figure.to_owned(),
            ratio_to_limit: 1.0,
            command: "tagcast bench index".to_owned(),
            date: "2026-11-21".to_owned(),
            is_clean: true,
        }
    }

    #[test]
    fn only_the_rows_that_were_measured_are_replaced() {
        let empty = format!("before\n{BEGIN}\n{END}\nafter\n");
        let first = replaced(&empty, &[row("T10", "old"), row("T2", "a"), row("T2", "b")]).unwrap();
        let second = replaced(&first, &[row("T10", "new")]).unwrap();
        let figures: Vec<&str> = second
            .lines()
            .filter(|line| line.starts_with("| T"))
            .filter_map(|line| line.split(" | ").nth(3))
            .collect();
        assert_eq!(figures, ["a", "b", "new"]);
        assert!(second.starts_with("before\n") && second.ends_with("\nafter\n"));
        assert_eq!(replaced("no place", &[]), None);
    }
}
