// Package soak makes, uses and removes objects for a long time, in processes that are killed
// at any moment. With SAMEPAGE_KILLS it takes as long as it is told (make soak).
package soak
