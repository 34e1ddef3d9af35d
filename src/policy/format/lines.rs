//! Pieces into lines: which stand together, how deep, and what stays apart.

use crate::policy::parse::{Begins, Piece, PieceKind};

/// A statement, the head or the end of a block, or a comment on its own: one line
/// until it turns out to be too long.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Blocks around it.
    pub(super) depth: usize,
    /// An empty line stands before it.
    pub(super) apart: bool,
    /// Never empty.
    pub(super) pieces: Vec<Piece>,
    /// The first so many pieces fill so many columns.
    pub(super) column: Option<Column>,
}

/// Where what stands below each other is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Pieces before it.
    pub(super) pieces: usize,
    /// Characters they are padded to.
    pub(super) width: usize,
}

impl Line {
    fn opens_block(&self) -> bool {
        let mut pieces = self.pieces.iter().rev();
        let last = pieces.find(|piece| piece.kind != PieceKind::Comment);
        last.is_some_and(|piece| is_mark(piece, "{"))
    }
}

/// The lines of a text in order.
pub(super) fn lines(pieces: Vec<Piece>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut depth = 0usize;
    let mut ahead = begin_ahead(&pieces).into_iter();
    for piece in pieces {
        let stands_alone = ahead.next().unwrap_or_default();
        let closes = is_mark(&piece, "}");
        if closes {
            depth = depth.saturating_sub(1);
        }
        let opens = is_mark(&piece, "{");
        let begins = match piece.kind {
            PieceKind::Comment => piece.breaks > 0 && stands_alone,
            _ => closes || piece.begins == Begins::Line,
        };
        match lines.last_mut() {
            Some(line) if !begins => line.pieces.push(piece),
            last => {
                let first_in_block = last.is_none_or(|line| line.opens_block());
                lines.push(Line {
                    depth,
                    apart: piece.breaks > 1 && !first_in_block && !closes,
                    pieces: vec![piece],
                    column: None,
                });
            }
        }
        if opens {
            depth += 1;
        }
    }
    lines
}

/// For each piece, whether what follows the comments from there on begins a line: such
/// a comment belongs to no statement.
fn begin_ahead(pieces: &[Piece]) -> Vec<bool> {
    let mut begins = true;
    let mut ahead: Vec<bool> = pieces
        .iter()
        .rev()
        .map(|piece| {
            if piece.kind != PieceKind::Comment {
                begins = is_mark(piece, "}") || piece.begins == Begins::Line;
            }
            begins
        })
        .collect();
    ahead.reverse();
    ahead
}

pub(super) fn is_mark(piece: &Piece, mark: &str) -> bool {
    piece.kind == PieceKind::Mark && piece.text == mark
}
