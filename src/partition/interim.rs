use super::*;
use crate::{
    fault::Failure,
    record::{Notes, Route},
};
impl KeyNaming {
    pub fn is_partitioned(&self) -> bool {
        false
    }
    pub fn route(&self, _: &Notes, _: i64) -> Result<Route, Failure> {
        Ok(Route::Objects)
    }
    pub fn key_for(&self, name: &ObjectName<'_>, route: &Route) -> Result<String, PrefixError> {
        match route {
            Route::Errors(t) => self.error_key(name, t),
            _ => self.object_key(name),
        }
    }
}
