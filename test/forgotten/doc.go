// Package forgotten drops objects of every kind without closing them.
package forgotten
