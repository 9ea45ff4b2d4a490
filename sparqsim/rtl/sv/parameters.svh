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

// With CODED_OPERANDS defined: weights, or both operands, are stored in another form than 8 or 4 bits each. A switch of the preprocessor, too:
// the arrays and PEs of all designs take other units.
`define OLIVE 9      // pairs of codes, in which an outlier takes its neighbour's place; decoders at both edges
`define STC_SPARQ 10 // weights with their places, which choose a pair of four activations; the trim unit is in the PE
`ifdef CODED_OPERANDS
`define DOT dot_coded
`define EDGE_UNIT edge_coded
`define USE_WEIGHT edge_weight #(`PE_PASS) unit(raw, data);
`define STORED_W RW
`else
`define DOT dot
`define EDGE_UNIT edge_unit
`define USE_WEIGHT assign data = raw;
`define STORED_W WW
`endif

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
`ifdef CODED_OPERANDS
// RW: bits of the weights of one step as memory holds them; WW, as PEs see them. A pair of codes, decoded, has PAIR bits; unsigned ones have
// no code to spare for the mark of an outlier, so a ninth bit is it.
`define PAIR 11
`define PE_PARAMETERS \
    parameter KIND = `OLIVE, LANES = 4, XBITS = 4, WBITS = 4, SIGNED = 0, SCALE = 0, \
    BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1, EDGE = KIND == `OLIVE, \
    XW = LANES * XBITS + (KIND == `OLIVE && !SIGNED ? LANES / 2 : 0), \
    RW = KIND == `OLIVE ? LANES * WBITS : 2 * WBITS + 2 * $clog2(LANES), \
    AW = KIND == `OLIVE ? LANES / 2 * `PAIR : XW, WW = KIND == `OLIVE ? LANES / 2 * `PAIR : RW
`define PE_PASS \
    .KIND(KIND), .LANES(LANES), .XBITS(XBITS), .WBITS(WBITS), .SIGNED(SIGNED), .SCALE(SCALE), \
    .BITS(BITS), .STRIDE(STRIDE), .PLACES(PLACES), .CODE(CODE), .LONE_PLACES(LONE_PLACES), .ROUND(ROUND)

`elsif BIT_SCALABLE
// ACTIVATION_BITS, WEIGHT_BITS: of the layer. DYNAMIC: a step's precision is its own. NAF, STAGE: digits and first shifters of PRAGMATIC.
// SHIFTS, PER_CYCLE: of SWIS. STATE: bits that a step hands on from one cycle to the next.
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

`else
`define PE_PARAMETERS \
    parameter KIND = `MAC, LANES = 1, XBITS = 8, WBITS = 8, SIGNED = 0, SCALE = 0, \
    BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1, PAIRING = 1, \
    XW = LANES * XBITS, WW = LANES * WBITS, EDGE = (KIND == `SPARQ || KIND == `EXACT), \
    AW = KIND == `SPARQ ? 2 * (BITS + CODE) + 1 : KIND == `EXACT ? 2 * (BITS + CODE) + 2 + 2 * BITS : LANES * XBITS
`define PE_PASS \
    .KIND(KIND), .LANES(LANES), .XBITS(XBITS), .WBITS(WBITS), .SIGNED(SIGNED), .SCALE(SCALE), \
    .BITS(BITS), .STRIDE(STRIDE), .PLACES(PLACES), .CODE(CODE), .LONE_PLACES(LONE_PLACES), .ROUND(ROUND), .PAIRING(PAIRING)
`endif
`endif
