package strategy

// checker looks at what settings mean together.
type checker struct{ *parser }

func (c *checker) conflicts() {}
func (c *checker) shadows()   {}
func (c *checker) effects()   {}
