//! Hive's DDL: a `CREATE TABLE` statement, or the list of columns alone.
//!
//! ```text
//! CREATE [EXTERNAL] TABLE [IF NOT EXISTS] db.name (
//!     id bigint COMMENT 'ignored', tags array<string>
//! ) [COMMENT '…'] [PARTITIONED BY (dt string)] [anything: it is not looked at]
//! ```

use super::{Column, TableSchema, error::SchemaError, tokens::Token, types::Parser};
use crate::limits;

/// Words between `CREATE` and `TABLE`.
const KINDS: [&str; 5] = ["external", "temporary", "managed", "or", "replace"];

/// Reads a statement or a list of columns.
pub(super) fn parse(text: &str) -> Result<TableSchema, SchemaError> {
    if text.len() > limits::SCHEMA_DDL_BYTES_MAX {
        let max = limits::SCHEMA_DDL_BYTES_MAX;
        return Err(SchemaError::TooLong { bytes: text.len(), max });
    }
    if is_statement(text)? { statement(text) } else { list(text) }
}

/// A column may be called `create`, so the second word counts as well.
fn is_statement(text: &str) -> Result<bool, SchemaError> {
    let mut parser = Parser::new(text);
    if !parser.tokens.takes_word("create")? {
        return Ok(false);
    }
    let second = parser.tokens.take()?;
    Ok(second.is("table") || KINDS.iter().any(|kind| second.is(kind)))
}

fn statement(text: &str) -> Result<TableSchema, SchemaError> {
    let mut parser = Parser::new(text);
    parser.tokens.take()?;
    while !parser.tokens.takes_word("table")? {
        let word = parser.tokens.take()?;
        if !KINDS.iter().any(|kind| word.is(kind)) {
            return Err(parser.tokens.wrong("TABLE"));
        }
    }
    table_name(&mut parser)?;
    parser.tokens.mark('(', "( and the columns")?;
    let columns = columns_in_parentheses(&mut parser)?;
    parser.comment()?;
    let partition_keys = partition_keys(&mut parser)?;
    TableSchema::new(columns, partition_keys)
}

/// `[IF NOT EXISTS] db.name`, each part in back-quotes or not.
fn table_name(parser: &mut Parser<'_>) -> Result<(), SchemaError> {
    if parser.tokens.takes_word("if")? {
        for word in ["not", "exists"] {
            if !parser.tokens.takes_word(word)? {
                return Err(parser.tokens.wrong_next("IF NOT EXISTS"));
            }
        }
    }
    let mut has_name = false;
    while matches!(parser.tokens.peek()?, Token::Word(_) | Token::Quoted(_)) {
        parser.tokens.take()?;
        has_name = true;
    }
    if has_name { Ok(()) } else { Err(parser.tokens.wrong_next("the name of the table")) }
}

fn partition_keys(parser: &mut Parser<'_>) -> Result<Vec<Column>, SchemaError> {
    if !parser.tokens.takes_word("partitioned")? {
        return Ok(Vec::new());
    }
    if !parser.tokens.takes_word("by")? {
        return Err(parser.tokens.wrong_next("PARTITIONED BY"));
    }
    parser.tokens.mark('(', "( and the partition columns")?;
    columns_in_parentheses(parser)
}

/// The columns alone, in parentheses or not, with or without a semicolon.
fn list(text: &str) -> Result<TableSchema, SchemaError> {
    let mut parser = Parser::new(text);
    if *parser.tokens.peek()? == Token::End {
        return Err(SchemaError::NoColumns);
    }
    let columns = if parser.tokens.takes_mark('(')? {
        columns_in_parentheses(&mut parser)?
    } else {
        columns(&mut parser)?
    };
    parser.tokens.takes_mark(';')?;
    match parser.tokens.take()? {
        Token::End => TableSchema::new(columns, Vec::new()),
        _ => Err(parser.tokens.wrong("a comma or the end of the columns")),
    }
}

fn columns_in_parentheses(parser: &mut Parser<'_>) -> Result<Vec<Column>, SchemaError> {
    let columns = columns(parser)?;
    parser.tokens.mark(')', "a comma or ) after a column")?;
    Ok(columns)
}

fn columns(parser: &mut Parser<'_>) -> Result<Vec<Column>, SchemaError> {
    let mut columns = Vec::new();
    loop {
        let name = parser.name()?;
        let of = parser.hive_type(0)?;
        // Every column may be null here; that others do not want it changes no file.
        if parser.tokens.takes_word("not")? && !parser.tokens.takes_word("null")? {
            return Err(parser.tokens.wrong_next("NOT NULL"));
        }
        parser.comment()?;
        columns.push(Column { name, of });
        if !parser.tokens.takes_mark(',')? {
            return Ok(columns);
        }
    }
}
