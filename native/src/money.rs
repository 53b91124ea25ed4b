//! Amounts of money per currency: the same as `streams/core/amounts.py` and `schemas/currencies.py`, whose text explains
//! them. Which currencies there are, and how many decimals each has, comes with the rules.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::pack::{Damaged, Packer, Read, Reader};
use crate::wire::Money;

/// Three capitals of ISO 4217, or three zeros where none is named. Sorts as the texts do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Currency([u8; 3]);

const UNKNOWN: Currency = Currency(*b"XXX");

impl Currency {
    fn of(text: &str) -> Option<Currency> {
        if text.is_empty() { Some(Currency::default()) } else { text.as_bytes().try_into().ok().map(Currency) }
    }

    pub fn text(&self) -> &str {
        if self.0 == [0; 3] { "" } else { std::str::from_utf8(&self.0).unwrap_or("") }
    }

    pub fn is_named(self) -> bool {
        self != Currency::default()
    }

    pub fn read(reader: &mut Reader<'_>) -> Read<Currency> {
        Currency::of(reader.text()?).ok_or(Damaged("a currency has three letters"))
    }
}

/// The number of decimals of every currency, sorted.
pub struct Currencies(Vec<(Currency, u32)>);

impl Currencies {
    /// From pairs of code and decimals. ValueError for a code that is none.
    pub fn from_pairs(pairs: Vec<(String, u32)>) -> PyResult<Currencies> {
        let one = |(code, decimals): (String, u32)| Currency::of(&code).map(|code| (code, decimals));
        let found: Option<Vec<_>> = pairs.into_iter().map(one).collect();
        let mut found = found.ok_or_else(|| PyValueError::new_err("codes of currencies have three letters"))?;
        found.sort_unstable();
        Ok(Currencies(found))
    }

    fn decimals(&self, currency: Currency) -> Option<u32> {
        self.0.binary_search_by_key(&currency, |(code, _)| *code).ok().map(|index| self.0[index].1)
    }

    /// A currency as findings name it.
    pub fn code(&self, text: &str) -> Currency {
        let found = Currency::of(text).map(|currency| Currency(currency.0.map(|letter| letter.to_ascii_uppercase())));
        found.filter(|code| !code.is_named() || self.decimals(*code).is_some()).unwrap_or(UNKNOWN)
    }

    /// Hundredths in minor units of the currency, halves rounded up.
    pub fn minor(&self, hundredths: i64, currency: Currency) -> i64 {
        match self.decimals(currency).unwrap_or(2) {
            decimals @ 2.. => hundredths * 10_i64.pow(decimals - 2),
            decimals => {
                let step = 10_i64.pow(2 - decimals);
                (hundredths + step / 2).div_euclid(step)
            }
        }
    }
}

/// The largest amount of each currency, sorted; none of zero or less.
#[derive(Clone, Default)]
pub struct Amounts(Vec<(Currency, i64)>);

impl Amounts {
    pub fn fold(&mut self, (currency, minor): (Currency, i64)) {
        if minor <= 0 {
            return;
        }
        match self.0.binary_search_by_key(&currency, |(code, _)| *code) {
            Ok(index) => self.0[index].1 = self.0[index].1.max(minor),
            Err(index) => self.0.insert(index, (currency, minor)),
        }
    }

    pub fn money(&self) -> impl Iterator<Item = Money<'_>> {
        self.0.iter().map(|(currency, minor)| Money { currency: currency.text(), minor: *minor })
    }

    pub fn pack(&self, packer: &mut Packer) {
        packer.array(self.0.len());
        for (currency, minor) in &self.0 {
            packer.array(2);
            packer.text(currency.text());
            packer.int(*minor);
        }
    }

    /// An older build wrote one number, hundredths of whatever currency.
    pub fn read(reader: &mut Reader<'_>) -> Read<Amounts> {
        let mut amounts = Amounts::default();
        if !reader.is_array() {
            amounts.fold((Currency::default(), reader.int()?));
            return Ok(amounts);
        }
        for _ in 0..reader.array()? {
            reader.array()?;
            amounts.fold((Currency::read(reader)?, reader.int()?));
        }
        Ok(amounts)
    }
}
