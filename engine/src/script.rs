//! JavaScript for script tasks, conditions and mappings, in QuickJS with limits.
//!
//! Owns the script host. A script sees variables and an `execution`; it has no files, no network, no clock of its own
//! to speak of, and is stopped when it takes too long or too much memory. Data goes in and out as JSON text.

use crate::expr::Operand;
use crate::machine::{Change, Scripts};
use crate::value::Value;
use rquickjs::{CatchResultExt, CaughtError, Coerced, Context, Runtime};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Most memory of one script.
pub(crate) const MEMORY_MAX: usize = 32 * 1024 * 1024;
/// Deepest stack of one script.
pub(crate) const STACK_MAX: usize = 256 * 1024;
/// Longest run of one script.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(2);

/// The script host.
#[derive(Debug, Default)]
pub(crate) struct QuickJs;

/// Most values in what a script gives back, or makes text of.
const VALUES_MAX: usize = 1_000_000;

// Natives of the interpreter are not interrupted. Those that take an unbounded time of little input are `stringify`, on what
// refers to the same values again and again: so they are counted first, by code that can be interrupted; and those of arrays,
// on one that says to be long and has nothing in it: so its length is looked at first. What still gets by is left behind.
const PRELUDE: &str = r"
(function (given, most) {
  const stringify = JSON.stringify, plainly = ['constructor', 'push', 'pop', 'at', 'keys', 'values', 'entries'];
  const count = (value) => {
    for (let todo = [value], left = most; todo.length > 0; left--) {
      if (left <= 0) throw new RangeError('more than ' + most + ' values in one JSON text');
      const one = todo.pop();
      if (one !== null && typeof one === 'object') { for (const k in one) todo.push(one[k]); }
    }
  };
  JSON.stringify = function (value, ...how) { count(value); return stringify(value, ...how); };
  for (const name of Object.getOwnPropertyNames(Array.prototype)) {
    const native = Array.prototype[name];
    if (typeof native !== 'function' || plainly.includes(name)) continue;
    Array.prototype[name] = function (...how) {
      for (const one of [this, ...how]) {
        if (one === null || typeof one !== 'object' || !(one.length > most)) continue;
        throw new RangeError(name + ' of ' + one.length + ' elements, and ' + most + ' are the most');
      }
      return Reflect.apply(native, this, how);
    };
  }
  const vars = given.variables, local = given.dates, out = [];
  for (const name of local) { vars[name] = new Date(vars[name]); }
  const plain = (v) => v instanceof Date ? { date: v.getTime() } : { json: v === undefined ? null : v };
  globalThis.__changes = out;
  globalThis.__plain = plain;
  globalThis.execution = Object.assign({
    getVariable: (n) => n in vars ? vars[n] : null,
    getVariableLocal: (n) => n in vars ? vars[n] : null,
    hasVariable: (n) => n in vars,
    setVariable: (n, v) => { vars[n] = v; out.push({ set: n, value: plain(v) }); },
    setVariableLocal: (n, v) => { vars[n] = v; out.push({ local: n, value: plain(v) }); },
    removeVariable: (n) => { delete vars[n]; out.push({ remove: n }); },
    getVariables: () => Object.assign({}, vars),
  }, given.execution);
  for (const n of ['id', 'processInstanceId', 'processDefinitionId', 'businessKey', 'processBusinessKey', 'tenantId', 'currentActivityId']) {
    const v = n === 'processBusinessKey' ? given.execution.businessKey : given.execution[n];
    globalThis.execution['get' + n[0].toUpperCase() + n.slice(1)] = () => v === undefined ? null : v;
  }
  for (const n in vars) { if (!(n in globalThis)) globalThis[n] = vars[n]; }
})";

impl QuickJs {
    fn run_json(&self, source: &str, given: &Json) -> Result<Json, String> {
        let runtime = Runtime::new().map_err(|e| e.to_string())?;
        runtime.set_memory_limit(MEMORY_MAX);
        runtime.set_max_stack_size(STACK_MAX);
        let begun = crate::clock::monotonic();
        runtime.set_interrupt_handler(Some(Box::new(move || begun.elapsed() > TIME_MAX)));
        let context = Context::full(&runtime).map_err(|e| e.to_string())?;
        context.with(|ctx| {
            let prelude = format!("{PRELUDE}({given}, {VALUES_MAX})");
            ctx.eval::<(), _>(prelude)
                .catch(&ctx)
                .map_err(|e| e.to_string())?;
            ctx.globals()
                .set("__source", source)
                .map_err(|e| e.to_string())?;
            // Indirect evaluation: the script's own names do not meet those of the host.
            let body =
                "JSON.stringify({ result: __plain((0, eval)(__source)), changes: __changes })";
            let done: Result<String, String> = ctx.eval(body).catch(&ctx).map_err(|e| told(&e));
            // Also if it got to its end in a native that was not interrupted.
            if begun.elapsed() > TIME_MAX {
                let limit = TIME_MAX.as_millis();
                return Err(format!(
                    "limit script_time reached: the script ran longer than {limit} ms"
                ));
            }
            let text = done?;
            serde_json::from_str(&text).map_err(|e| e.to_string())
        })
    }
}

/// The interpreter throws null when it has no memory left for an error.
fn told(error: &CaughtError<'_>) -> String {
    match error {
        CaughtError::Value(thrown) if thrown.is_null() => {
            format!(
                "{NO_MEMORY}: it threw null, as it does when its memory of {MIB} MiB is used up"
            )
        }
        CaughtError::Exception(thrown)
            if thrown.message().as_deref() == Some("out of memory")
                && thrown
                    .get::<_, String>("name")
                    .is_ok_and(|name| name == "InternalError") =>
        {
            format!("{NO_MEMORY}: its memory of {MIB} MiB is used up")
        }
        CaughtError::Value(thrown) => match thrown.get::<Coerced<String>>() {
            Ok(text) => format!("the script threw: {}", text.0),
            Err(_) => "the script threw a value that has no text".to_owned(),
        },
        other => other.to_string().trim().to_owned(),
    }
}

const NO_MEMORY: &str = "limit script_memory reached";
const MIB: usize = MEMORY_MAX / 1024 / 1024;

impl Scripts for QuickJs {
    fn run(
        &self,
        source: &str,
        variables: &[(String, Value)],
        execution: &[(&'static str, String)],
    ) -> Result<(Value, Vec<Change>), String> {
        let dates = variables
            .iter()
            .filter(|(_, v)| matches!(v, Value::Date(_)))
            .map(|(n, _)| n.clone());
        let given = json!({
            "variables": variables.iter().map(|(n, v)| (n.clone(), to_json(v))).collect::<serde_json::Map<_, _>>(),
            "dates": dates.collect::<Vec<_>>(),
            "execution": execution.iter().map(|(n, v)| ((*n).to_owned(), Json::from(v.as_str()))).collect::<serde_json::Map<_, _>>(),
        });
        let out = self.run_json(source, &given)?;
        let changes = out["changes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(change)
            .collect();
        Ok((from_json(&out["result"]), changes))
    }
}

fn to_json(value: &Value) -> Json {
    Operand::from_value(value).to_json()
}

fn from_json(plain: &Json) -> Value {
    match plain["date"].as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "JavaScript dates are whole milliseconds within 2^53"
        )]
        Some(ms) => Value::Date(ms as i64),
        None => Operand::from_json(&plain["json"]).into_value(),
    }
}

fn change(change: &Json) -> Option<Change> {
    let name = |field: &str| change[field].as_str().map(str::to_owned);
    if let Some(name) = name("set") {
        Some(Change::Set(name, from_json(&change["value"])))
    } else if let Some(name) = name("local") {
        Some(Change::SetLocal(name, from_json(&change["value"])))
    } else {
        name("remove").map(Change::Remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str) -> Result<(Value, Vec<Change>), String> {
        let variables = vec![
            ("x".to_owned(), Value::Integer(20)),
            ("when".to_owned(), Value::Date(5)),
        ];
        QuickJs.run(source, &variables, &[("businessKey", "order-1".to_owned())])
    }

    #[test]
    fn scripts_read_and_set_variables() {
        assert_eq!(run("x * 2 + 2").unwrap().0, Value::Integer(42));
        assert_eq!(run("when.getTime()").unwrap().0, Value::Integer(5));
        assert_eq!(
            run("execution.getBusinessKey()").unwrap().0,
            Value::from("order-1")
        );
        let (_, changes) = run("execution.setVariable('y', x / 8); var z = 3;").unwrap();
        assert_eq!(changes, [Change::Set("y".into(), Value::Double(2.5))]);
        assert_eq!(run("new Date(7)").unwrap().0, Value::Date(7));
    }

    #[test]
    fn scripts_that_go_wrong_are_errors() {
        assert!(run("throw new Error('no')").unwrap_err().contains("no"));
        for (source, text) in [
            ("throw 'no \"stock\"'", "the script threw: no \"stock\""),
            ("throw 7", "the script threw: 7"),
            (
                "throw { toString() { throw 1; } }",
                "the script threw a value that has no text",
            ),
        ] {
            assert_eq!(run(source).unwrap_err(), text);
        }
        assert!(run("nope + 1").unwrap_err().contains("nope"));
        assert!(run("(").is_err());
    }

    #[test]
    fn scripts_that_never_end_or_eat_memory_are_stopped() {
        assert!(run("while (true) {}").unwrap_err().contains("longer"));
        // At once: the unoptimised interpreter takes about as long to fill its memory with text as its time lasts.
        let eats = run("new Uint8Array(64 * 1024 * 1024)").unwrap_err();
        assert!(eats.starts_with("limit script_memory reached"), "{eats}");
        assert!(run("var a = []; while (true) { a.push('x'.repeat(100000)); }").is_err());
        let says = run("throw new Error('out of memory')").unwrap_err();
        assert!(says.starts_with("Error: out of memory"), "{says}");
        assert!(run("(function f() { f(); })()").is_err());
        let again =
            "var x = []; for (var i = 0; i < 200; i++) { x = [x, x]; } JSON.stringify(x).length";
        let refused = run(again).unwrap_err();
        assert!(
            refused.contains("values") || refused.contains("longer"),
            "{refused}"
        );
        assert!(run("var y = []; for (var i = 0; i < 200; i++) { y = [y, y]; } y").is_err());
        let long = "new Array(2e9).join('ab')";
        assert!(
            run(long).unwrap_err().contains("1000000"),
            "{:?}",
            run(long)
        );
        assert!(run("'' + new Array(2e9)").is_err());
        assert!(run("[].indexOf.call({ length: 2 ** 53 - 1 }, 1)").is_err());
        assert!(run("[].concat(new Array(2e9)).length").is_err());
        assert_eq!(
            run("[3, 1, 2].sort().concat([4]).map(x => x + 1).join('-')")
                .unwrap()
                .0,
            Value::from("2-3-4-5")
        );
        assert_eq!(
            run("JSON.stringify({ a: [1, null], b: 'c' })").unwrap().0,
            Value::from(r#"{"a":[1,null],"b":"c"}"#)
        );
    }
}
