package ipctest

// EndInput closes the child's standard input, and leaves the child to what it does then.
func (c *Child) EndInput() { _ = c.in.Close() }
