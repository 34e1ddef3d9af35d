//! What stands below each other: labels, the `=` of types and constants, and the
//! paths of expectations.

use super::lines::{Column, Line, is_mark};
use crate::policy::parse::PieceKind;

/// What neighbours are aligned at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Label,
    Type,
    Constant,
    Expectation,
}

/// Aligns neighbours of a kind. An empty line or a line of another kind ends a
/// neighbourhood, a comment does not.
pub(super) fn align(lines: &mut [Line]) {
    let mut run = Run::default();
    for index in 0..lines.len() {
        let Some(line) = lines.get(index) else {
            continue;
        };
        let is_comment = line
            .pieces
            .iter()
            .all(|piece| piece.kind == PieceKind::Comment);
        let kind = kind(line).map(|(kind, pieces)| (kind, line.depth, pieces));
        if line.apart || (!is_comment && kind.map(|(kind, depth, _)| (kind, depth)) != run.kind) {
            run.settle(lines);
        }
        if let (Some((kind, depth, pieces)), Some(line)) = (kind, lines.get(index)) {
            run.kind = Some((kind, depth));
            run.members.push((index, pieces, width(line, pieces)));
        }
    }
    run.settle(lines);
}

#[derive(Default)]
struct Run {
    kind: Option<(Kind, usize)>,
    /// Line, pieces before the column, and their width.
    members: Vec<(usize, usize, usize)>,
}

impl Run {
    fn settle(&mut self, lines: &mut [Line]) {
        let widest = self.members.iter().map(|(_, _, width)| *width).max();
        for (index, pieces, _) in self.members.drain(..) {
            if let (Some(line), Some(width)) = (lines.get_mut(index), widest) {
                line.column = Some(Column { pieces, width });
            }
        }
        self.kind = None;
    }
}

/// What a line is aligned as, and how many of its pieces stand before the column.
fn kind(line: &Line) -> Option<(Kind, usize)> {
    let mut pieces = line.pieces.iter();
    let first = pieces.next()?;
    if first.kind == PieceKind::Label {
        return Some((Kind::Label, 1));
    }
    let second = pieces.next()?;
    let third = pieces.next()?;
    if [first, second, third]
        .iter()
        .any(|piece| piece.kind == PieceKind::Comment)
    {
        return None;
    }
    match first.text.as_str() {
        "type" if is_mark(third, "=") => Some((Kind::Type, 2)),
        "let" if is_mark(third, "=") => Some((Kind::Constant, 2)),
        "expect" => Some((Kind::Expectation, 2)),
        _ => None,
    }
}

/// Characters of the first so many pieces of a line, with single spaces between them.
fn width(line: &Line, pieces: usize) -> usize {
    let texts = line.pieces.iter().take(pieces);
    texts.map(|piece| piece.text.chars().count()).sum::<usize>() + pieces.saturating_sub(1)
}
