//! Aligned columns of text. Pure; it knows nothing of what the cells mean.

use super::terminal::{Paint, on_stdout};

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lays rows out under their titles, two spaces apart, without trailing spaces. Control characters in cells are replaced,
/// so that no name of a task can move the cursor of whoever lists it.
pub(crate) fn table(titles: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = titles
        .iter()
        .map(|(title, _)| title.chars().count())
        .collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let titles_row: Vec<String> = titles
        .iter()
        .map(|(title, _)| (*title).to_owned())
        .collect();
    let mut text = String::new();
    for (row_number, row) in std::iter::once(&titles_row).chain(&rows).enumerate() {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(titles) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let padding = std::iter::repeat_n(' ', width - cell.chars().count());
            let shown = match paint(row_number, cell) {
                Some(paint) => on_stdout(cell, paint),
                None => cell.clone(),
            };
            match align {
                Align::Left => {
                    line.push_str(&shown);
                    line.extend(padding);
                }
                Align::Right => {
                    line.extend(padding);
                    line.push_str(&shown);
                }
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The colour of a cell: titles stand out, and states by their name.
fn paint(row_number: usize, cell: &str) -> Option<Paint> {
    match row_number {
        0 => Some(Paint::Title),
        _ => Paint::of_state(cell),
    }
}

/// The text with control characters replaced; an empty one becomes a dash.
pub(crate) fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["a".to_owned(), "1.5".to_owned()],
            vec!["longer\u{1b}".to_owned(), "10".to_owned()],
        ];
        assert_eq!(
            table(&[("ID", Align::Left), ("CPUS", Align::Right)], &rows),
            "ID       CPUS\na         1.5\nlonger\u{fffd}    10\n"
        );
    }
}
