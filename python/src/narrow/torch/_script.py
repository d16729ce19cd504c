def trace(*a): raise NotImplementedError
