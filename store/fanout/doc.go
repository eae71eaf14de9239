// Package fanout makes many Stores one.
package fanout
