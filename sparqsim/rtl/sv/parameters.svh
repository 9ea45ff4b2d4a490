// Parameters of a PE design. sparqsim/rtl/designs.py sets them; every module that holds a PE takes and passes all of them.
`ifndef PARAMETERS_SVH
`define PARAMETERS_SVH

`define MAC   0  // LANES multipliers of XBITS x WBITS
`define SPARQ 1  // two narrow multipliers behind a trim unit
`define EXACT 2  // the same, and a second cycle instead of a loss
`define SYSMT 3  // two threads that trim on a collision

`define ACC 32    // bits of a partial sum, in every design
`define VALUE 20  // bits of what one step adds to it, before scaling

// SCALE: left shift of all sums (operands that are stored as nibbles). BITS, STRIDE, PLACES: an activation's window has BITS bits at
// the shifts 0, STRIDE, 2 * STRIDE, ... (PLACES of them, named by a code of CODE bits). LONE_PLACES: the same for
// a lone value's window of 2 * BITS bits, stride 1. The rest follow: XW, WW bits of raw operands per step, AW bits of an
// activation as PEs see it, EDGE cycles that it spends in the register behind the trim unit.
`define PE_PARAMETERS \
    parameter KIND = `MAC, LANES = 1, XBITS = 8, WBITS = 8, SIGNED = 0, SCALE = 0, \
    BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1, PAIRING = 1, \
    XW = LANES * XBITS, WW = LANES * WBITS, EDGE = (KIND == `SPARQ || KIND == `EXACT), \
    AW = KIND == `SPARQ ? 2 * (BITS + CODE) + 1 : KIND == `EXACT ? 2 * (BITS + CODE) + 2 + 2 * BITS : LANES * XBITS
`define PE_PASS \
    .KIND(KIND), .LANES(LANES), .XBITS(XBITS), .WBITS(WBITS), .SIGNED(SIGNED), .SCALE(SCALE), \
    .BITS(BITS), .STRIDE(STRIDE), .PLACES(PLACES), .CODE(CODE), .LONE_PLACES(LONE_PLACES), .ROUND(ROUND), .PAIRING(PAIRING)
`endif
