// Parameters of a PE design. sparqsim/rtl/designs.py sets them; every module that holds a PE takes and passes all of them.
`ifndef PARAMETERS_SVH
`define PARAMETERS_SVH

`define MAC   0  // LANES multipliers of XBITS x WBITS
`define SPARQ 1  // two narrow multipliers behind a trim unit
`define EXACT 2  // the same, and a second cycle instead of a loss
`define SYSMT 3  // two threads that trim on a collision

// With BIT_SCALABLE defined: PEs with modes, or with steps of many cycles. That is a switch of the preprocessor and no parameter since
// synthesis gives another area to a PE whose source has so much as an unused port more.
`define FUSION 4    // 16 multipliers of two bits that fuse
`define STRIPES 5   // bit by bit of the activations
`define LOOM 6      // bit by bit of both operands
`define PRAGMATIC 7 // digit by digit of the activations
`define SWIS 8      // shift by shift of the weights

// With TWO_STAGES defined: a register between a PE's multipliers and its sum. A switch of the preprocessor, too, and PEs of their own.
`ifdef TWO_STAGES
`define PE_OS pe_os_staged
`define PE_STATIONARY pe_stationary_staged
`else
`define PE_OS pe_os
`define PE_STATIONARY pe_stationary
`endif

`ifndef ACC
`define ACC 32    // bits of a partial sum, in every design, where the preprocessor is told no others
`endif
`ifndef RESULT
`define RESULT 32 // bits of a result outside the array, scaled
`endif
`ifdef BIT_SCALABLE
`define VALUE 24  // bits of what one cycle adds to it, with up to 64 lanes
`else
`define VALUE 20  // bits of what one step adds to it, before scaling
`endif

// SCALE: left shift of all sums (operands that are stored as nibbles). BITS, STRIDE, PLACES: an activation's window has BITS bits at
// the shifts 0, STRIDE, 2 * STRIDE, ... (PLACES of them, named by a code of CODE bits). LONE_PLACES: the same for
// a lone value's window of 2 * BITS bits, stride 1. The rest follow: XW, WW bits of raw operands per step, AW bits of an
// activation as PEs see it, EDGE cycles that it spends in the register behind the trim unit.
`ifndef BIT_SCALABLE
`define PE_PARAMETERS \
    parameter KIND = `MAC, LANES = 1, XBITS = 8, WBITS = 8, SIGNED = 0, SCALE = 0, \
    BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1, PAIRING = 1, \
    XW = LANES * XBITS, WW = LANES * WBITS, EDGE = (KIND == `SPARQ || KIND == `EXACT), \
    AW = KIND == `SPARQ ? 2 * (BITS + CODE) + 1 : KIND == `EXACT ? 2 * (BITS + CODE) + 2 + 2 * BITS : LANES * XBITS
`define PE_PASS \
    .KIND(KIND), .LANES(LANES), .XBITS(XBITS), .WBITS(WBITS), .SIGNED(SIGNED), .SCALE(SCALE), \
    .BITS(BITS), .STRIDE(STRIDE), .PLACES(PLACES), .CODE(CODE), .LONE_PLACES(LONE_PLACES), .ROUND(ROUND), .PAIRING(PAIRING)

// ACTIVATION_BITS, WEIGHT_BITS: of the layer. DYNAMIC: a step's precision is its own. NAF, STAGE: digits and first shifters of PRAGMATIC.
// SHIFTS, PER_CYCLE: of SWIS. STATE: bits that a step hands on from one cycle to the next.
`else
`define PE_PARAMETERS \
    parameter KIND = `STRIPES, LANES = 16, XBITS = 8, WBITS = 8, SIGNED = 0, ACTIVATION_BITS = 8, WEIGHT_BITS = 8, DYNAMIC = 0, \
    NAF = 0, STAGE = 2, SHIFTS = 3, PER_CYCLE = 1, SCALE = 0, EDGE = 0, \
    XW = LANES * XBITS, WW = KIND == `SWIS ? LANES * (1 + SHIFTS) + 3 * SHIFTS : LANES * WBITS, \
    AW = KIND == `PRAGMATIC ? LANES * (NAF ? 18 : 8 + SIGNED) \
       : LANES * XBITS + (KIND == `STRIPES ? 3 : KIND == `LOOM ? 6 : KIND == `FUSION ? 4 : 0), \
    STATE = KIND == `STRIPES || KIND == `SWIS ? 3 : KIND == `LOOM ? 6 : KIND == `PRAGMATIC ? LANES * (NAF ? 9 : 8) : 0
`define PE_PASS \
    .KIND(KIND), .LANES(LANES), .XBITS(XBITS), .WBITS(WBITS), .SIGNED(SIGNED), .ACTIVATION_BITS(ACTIVATION_BITS), \
    .WEIGHT_BITS(WEIGHT_BITS), .DYNAMIC(DYNAMIC), .NAF(NAF), .STAGE(STAGE), .SHIFTS(SHIFTS), .PER_CYCLE(PER_CYCLE)
`endif
`endif
