"""
Tests of L{socks6.tap.readings}.
"""

from __future__ import annotations

from functools import partial

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socks6.tap.readings import count, duration, number, seconds
from tests.raising import errorOf


class SecondsTests(SynchronousTestCase):
    """
    Durations.
    """

    def test_right(self) -> None:
        """
        They are written as numbers are, with fractions and exponents.
        """
        for text, expected in (("1", 1.0), ("0.25", 0.25), ("1e3", 1000.0), (" 2 ", 2.0)):
            self.assertEqual(seconds("patience", text), expected, text)

    def test_wrong(self) -> None:
        """
        They must be above zero, and finite.
        """
        for text in ("0", "0.0", "-0.25", "nan", "inf", "-inf", "1e999", "", "soon", "1 2", "1s"):
            error = errorOf(ValueError, partial(seconds, "patience", text))
            expected = f"--patience {text!r} is not a number of seconds above 0"
            self.assertEqual(str(error), expected, text)


class NumberTests(SynchronousTestCase):
    """
    Whole numbers.
    """

    def test_right(self) -> None:
        """
        They are written in digits, from the least to the most.
        """
        for text, expected in (
            ("2", 2),
            ("10", 10),
            ("11", 11),
            ("007", 7),
            ("0" * 10000 + "9", 9),
        ):
            self.assertEqual(number("guests", 2, 11, text), expected, text[-9:])
        for text in ("0", "00", "0" * 10000):
            self.assertEqual(number("guests", 0, 11, text), 0, text[-9:])

    def test_wrong(self) -> None:
        """
        Anything else is none: other numbers, signs, spaces, and what only some
        people read as digits.
        """
        for text in (
            *("1", "12", "0", "-3", "+3", "3.0", "3e0", "0x3", "1_0", " 3", "3 ", "", "few"),
            "\N{ARABIC-INDIC DIGIT THREE}",
            "\N{SUPERSCRIPT THREE}",
        ):
            error = errorOf(ValueError, partial(number, "guests", 2, 11, text))
            self.assertEqual(
                str(error), f"--guests {text!r} is not a number from 2 to 11", ascii(text)
            )

    def test_huge(self) -> None:
        """
        More digits than Python likes to read are out of range like others.
        """
        for text in ("123", "9" * 4300, "9" * 4301, "9" * 10000, "-" + "9" * 10000, "0" * 10000):
            error = errorOf(ValueError, partial(number, "guests", 2, 11, text))
            self.assertEqual(
                str(error), f"--guests {text!r} is not a number from 2 to 11", text[-9:]
            )
        self.assertEqual(number("guests", 2, 10**20, "9" * 20), 10**20 - 1)


class Party(usage.Options):
    """
    Options with a parameter of each kind.
    """

    optParameters = [
        duration("patience", 2.5, "Seconds to wait for guests."),
        duration("length", None, "Seconds that it lasts [default: all night]."),
        count("guests", 2, 11, 4, "How many may come."),
    ]


class ParameterTests(SynchronousTestCase):
    """
    The descriptions that C{usage.Options} reads.
    """

    def party(self, *arguments: str) -> Party:
        """
        Read a command line.
        """
        options = Party()
        options.parseOptions(arguments)
        return options

    def test_defaults(self) -> None:
        """
        What is not said has its default, as a number.
        """
        self.assertEqual(self.party(), {"patience": 2.5, "length": None, "guests": 4})

    def test_given(self) -> None:
        """
        What is said is read.
        """
        options = self.party("--patience=1", "--length", "3.5", "--guests=11")
        self.assertEqual(options, {"patience": 1.0, "length": 3.5, "guests": 11})

    def test_wrong(self) -> None:
        """
        What is wrong is an error that names the option.
        """
        for argument, complaint in (
            ("--patience=0", "--patience '0' is not a number of seconds above 0"),
            ("--length=x", "--length 'x' is not a number of seconds above 0"),
            ("--guests=12", "--guests '12' is not a number from 2 to 11"),
        ):
            error = errorOf(usage.UsageError, partial(self.party, argument))
            self.assertIn(complaint, str(error))

    def test_documented(self) -> None:
        """
        The help has what is said of them.
        """
        text = " ".join(str(Party()).split())
        for words in (
            "--patience= Seconds to wait for guests. [default: 2.5]",
            "--length= Seconds that it lasts [default: all night].",
            "--guests= How many may come. [default: 4]",
        ):
            self.assertIn(words, text)
