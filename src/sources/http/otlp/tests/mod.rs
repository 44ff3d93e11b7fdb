mod answers;
mod messages;
mod requests;
