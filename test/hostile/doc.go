// Package hostile plants, cuts, stops and forbids what memory depends on: files,
// directories, rights and other users.
package hostile
